#!/usr/bin/env bash
# Packages: csvkit 2.2.0, agate 1.14.2 and parsedatetime 2.6 (PyPI), the usual CSV tools of the command line.
#
# Behaviour: a column whose every cell is the English name of a month, long or short, or of a weekday is taken for
# dates. in2csv, csvjson, csvsort and csvjoin write `0001-04-01` for April and `0001-01-01` for Jan, in place of it.
#
# Expected: one knows that these tools turn 007 into 7 and 1/2/2026 into a date. A first name, with neither a digit
# nor a year in it, should stay as it is; RFC 4180 knows no types at all.
#
# Seen: a file of two joiners, June and Jan, comes out with the first names 0001-06-01 and 0001-01-01, exit status 0,
# no warning. With a third joiner called Ann, the same column is left alone. `--no-inference` prevents it.
#
# What it means: an export of one department, or of the day's changes, is small enough for such a column. A sync
# takes the file for good and renames people to a date; the next full export names them back. Run csvkit with
# `--no-inference` (`-I`) on anything that holds people.
#
# Needs: bash, python3 (3.10 or newer) with venv.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
    csvkit==2.2.0 agate==1.14.2 parsedatetime==2.6
cd "$work"
export PATH="$work/venv/bin:$PATH"

cat >two.csv <<'CSV'
_id,username,firstname,lastname
a1,june@corp.example,June,Example
a2,jan@corp.example,Jan,Sample
CSV
{ cat two.csv; echo 'a3,ann@corp.example,Ann,Person'; } >three.csv

status=0
# WHAT COMMAND STATED: the first names that COMMAND wrote, which were STATED when this was found
first_names() {
    local what=$1 stated=$2 seen
    shift 2
    seen=$("$@" | cut -d, -f3 | tail -n +2 | sort | paste -sd' ')
    if [ "$seen" = "$stated" ]; then echo "$what: $seen"; else
        echo "$what: $seen   CHANGED, was $stated"
        status=1
    fi
}
first_names 'in2csv, June and Jan     ' '0001-01-01 0001-06-01' in2csv two.csv
first_names 'csvsort, June and Jan    ' '0001-01-01 0001-06-01' csvsort two.csv
first_names 'csvjoin, June and Jan    ' '0001-01-01 0001-06-01' csvjoin two.csv
first_names 'in2csv, and Ann          ' 'Ann Jan June' in2csv three.csv
first_names 'in2csv -I, June and Jan  ' 'Jan June' in2csv --no-inference two.csv
exit "$status"
