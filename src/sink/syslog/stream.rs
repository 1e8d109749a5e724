//! Messages over a connection whose receiver acknowledges nothing. What stood on a connection that is still open a second later
//! counts as delivered; after a broken one the last events go again; and the event on which a receiver hangs up is found and put
//! aside, but only if the receiver takes another one.

use super::connection::{Connection, Peer, Standing};
use super::message::Writer;
use crate::event::Sealed;
use crate::sink::{DeadLetter, Receipt, Sink, SinkError};
use std::collections::VecDeque;
use std::io::Error;
use std::time::{Duration, Instant};

/// How long a connection must stay open for what was written to it to count as delivered. syslog-ng takes an eleventh connection,
/// and data on it, and then closes it.
const CONFIRMED_AFTER: Duration = Duration::from_secs(1);
/// How many delivered events go again after a broken connection.
const REPEAT_COUNT: i64 = 1_000;
/// A receiver that closes a connection which was idle for so long has read everything.
const IDLE: Duration = Duration::from_secs(60);
/// How many events may be written ahead of those that count as delivered: each such stretch costs a second, and goes again if the
/// receiver hangs up before it is over.
const AHEAD_MAX: i64 = 100_000;
/// How many events one goes by at first, after the receiver has hung up.
const PIECE: usize = 500;
/// How many other events are tried before one is believed to be at fault.
const OTHERS_TRIED_MAX: usize = 5;
/// A receiver that hung up so often in a row may do so because of an event.
const STRIKES_MAX: u32 = 2;

/// A syslog receiver that is connected to.
pub(super) struct StreamSink {
    name: String,
    writer: Writer,
    peer: Peer,
    connection: Option<Connection>,
    /// Written, but not confirmed yet: when, and up to which event.
    unconfirmed: VecDeque<(Instant, i64)>,
    written_at: Instant,
    written: i64,
    settled: i64,
    /// How often the receiver hung up since it last kept a connection open.
    strikes: u32,
    /// The receiver hung up on something up to this event: small pieces, each confirmed before the next.
    careful_until: i64,
    piece: usize,
    /// What goes again after a broken connection ends here: a second break before that repeats nothing more.
    repeating_until: i64,
    /// An event that the receiver took.
    taken_before: Option<Sealed>,
}

impl StreamSink {
    pub(super) fn new(name: String, writer: Writer, peer: Peer) -> Self {
        Self {
            name,
            writer,
            peer,
            connection: None,
            unconfirmed: VecDeque::new(),
            written_at: Instant::now(),
            written: 0,
            settled: 0,
            strikes: 0,
            careful_until: 0,
            piece: PIECE,
            repeating_until: 0,
            taken_before: None,
        }
    }

    fn error(&self, cause: Error, repeat_count: i64) -> SinkError {
        SinkError { name: self.name.clone(), cause, repeat_count }
    }

    /// The connection is broken. Returns how many delivered events go again.
    fn broken(&mut self) -> i64 {
        self.connection = None;
        self.unconfirmed.clear();
        self.strikes += 1;
        if self.strikes >= STRIKES_MAX {
            self.careful_until = self.careful_until.max(self.written);
        }
        if self.settled <= self.repeating_until {
            return 0;
        }
        self.repeating_until = self.settled;
        REPEAT_COUNT
    }

    /// The receiver hung up: a new connection, and what may be lost once more.
    fn begin_again(&mut self) -> Result<Receipt, SinkError> {
        let repeat_count = self.broken();
        if self.strikes > STRIKES_MAX {
            return Err(self.error(Error::other("the receiver closed the connection"), repeat_count));
        }
        self.connect()?;
        let taken = self.settled.saturating_sub(repeat_count).max(0);
        Ok(Receipt { taken, settled: self.settled, refused: Vec::new() })
    }

    fn connect(&mut self) -> Result<&mut Connection, SinkError> {
        match self.peer.connect() {
            Ok(connection) => Ok(self.connection.insert(connection)),
            // It was there before, if this is the first failure: what it had in memory is lost.
            Err(cause) => Err(self.error(cause, REPEAT_COUNT)),
        }
    }

    /// The messages of these events, and those of them that cannot be sent at all.
    fn messages(&self, events: &[Sealed]) -> (Vec<u8>, Vec<DeadLetter>) {
        /// What stands before and behind a line, about.
        const HEADER_BYTES: usize = 256;
        let bytes_count = events.iter().map(|event| event.line.len() + HEADER_BYTES).sum();
        let (mut bytes, mut refused) = (Vec::with_capacity(bytes_count), Vec::new());
        for event in events {
            match self.writer.message(event) {
                Ok(message) => bytes.extend_from_slice(&message),
                Err(letter) => refused.push(letter),
            }
        }
        (bytes, refused)
    }

    /// What has stood on the open connection for long enough is delivered.
    fn confirm(&mut self) {
        while let Some((at, sequence)) = self.unconfirmed.front().copied()
            && at.elapsed() >= CONFIRMED_AFTER
        {
            self.settled = self.settled.max(sequence);
            self.unconfirmed.pop_front();
            self.strikes = 0;
        }
    }

    /// Watches the connection until everything that was written counts as delivered.
    fn wait(&mut self) -> Standing {
        while let Some((at, _)) = self.unconfirmed.back().copied() {
            let left = CONFIRMED_AFTER.saturating_sub(at.elapsed());
            match self.connection.as_mut().map(|connection| connection.standing(left)) {
                Some(Standing::Open) => self.confirm(),
                Some(Standing::Closed) | None => return Standing::Closed,
            }
        }
        Standing::Open
    }

    /// Sends a piece on a connection of which nothing else is expected, and watches whether the receiver hangs up on it.
    fn attempt(&mut self, events: &[Sealed]) -> Result<Standing, SinkError> {
        let (bytes, _) = self.messages(events);
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let standing = match connection.write(&bytes) {
            Ok(()) => connection.standing(CONFIRMED_AFTER),
            Err(_) => Standing::Closed,
        };
        match standing {
            Standing::Open => self.taken_before = events.last().cloned(),
            Standing::Closed => self.connection = None,
        }
        Ok(standing)
    }

    /// Sends the first few of these events, as few as the receiver takes without hanging up; if it hangs up on one alone and
    /// takes another, that one is put aside.
    fn deliver_carefully(&mut self, events: &[Sealed]) -> Result<Receipt, SinkError> {
        let mut count = self.piece.clamp(1, events.len());
        loop {
            let piece = &events[..count];
            if self.attempt(piece)? == Standing::Open {
                self.piece = (count * 2).min(PIECE);
                return Ok(self.receipt(piece, self.messages(piece).1));
            }
            if count > 1 {
                count = count.div_ceil(2);
                self.piece = count;
                continue;
            }
            // Once more: it may have hung up for another reason.
            if self.attempt(piece)? == Standing::Open {
                return Ok(self.receipt(piece, self.messages(piece).1));
            }
            if self.takes_another(&events[1..])? {
                let why = "the receiver closes the connection when it gets this event".to_owned();
                return Ok(self.receipt(piece, vec![DeadLetter { sequence: piece[0].sequence, why }]));
            }
            return Err(self.error(Error::other("the receiver closed the connection, whatever it was sent"), 0));
        }
    }

    /// Whether the receiver takes an event that it took before, or one of these.
    fn takes_another(&mut self, events: &[Sealed]) -> Result<bool, SinkError> {
        let others: Vec<_> = self.taken_before.iter().chain(events).take(OTHERS_TRIED_MAX).cloned().collect();
        for other in others {
            if self.attempt(std::slice::from_ref(&other))? == Standing::Open {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn receipt(&mut self, events: &[Sealed], refused: Vec<DeadLetter>) -> Receipt {
        let last = events.last().map_or(0, |event| event.sequence);
        self.written = self.written.max(last);
        self.written_at = Instant::now();
        self.settled = self.settled.max(last);
        self.strikes = 0;
        Receipt { taken: last, settled: last, refused }
    }
}

impl Sink for StreamSink {
    fn resume(&mut self, delivered: i64) -> Result<i64, SinkError> {
        self.settled = self.settled.max(delivered);
        let mut repeat_count = 0;
        if let Some(connection) = &mut self.connection {
            if connection.standing(Duration::ZERO) == Standing::Open {
                return Ok(delivered);
            }
            let was_idle = self.unconfirmed.is_empty() && self.written_at.elapsed() >= IDLE;
            let lost_count = self.broken();
            repeat_count = if was_idle { 0 } else { lost_count };
        }
        self.connect()?;
        Ok(delivered.saturating_sub(repeat_count).max(0))
    }

    fn deliver(&mut self, events: &[Sealed]) -> Result<Receipt, SinkError> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(Receipt::default()) };
        if first.sequence <= self.careful_until {
            return self.deliver_carefully(events);
        }
        self.piece = PIECE;
        if self.connection.as_mut().is_none_or(|connection| connection.standing(Duration::ZERO) == Standing::Closed) {
            return self.begin_again();
        }
        self.confirm();
        let (bytes, refused) = self.messages(events);
        self.written = self.written.max(last.sequence);
        if self.connection.as_mut().is_none_or(|connection| connection.write(&bytes).is_err()) {
            return self.begin_again();
        }
        self.written_at = Instant::now();
        self.unconfirmed.push_back((self.written_at, last.sequence));
        if last.sequence - self.settled > AHEAD_MAX {
            if self.wait() == Standing::Closed {
                return self.begin_again();
            }
            self.taken_before = Some(last.clone());
        }
        Ok(Receipt { taken: last.sequence, settled: self.settled.min(last.sequence), refused })
    }

    fn settle(&mut self, taken: i64) -> Result<Receipt, SinkError> {
        match self.wait() {
            Standing::Open => Ok(Receipt::all(taken)),
            Standing::Closed => self.begin_again(),
        }
    }
}
