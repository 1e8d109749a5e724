//! Lists and filters that show too little, too much, or something else.

use super::*;

#[test]
fn a_login_page_is_no_empty_list() {
    let run = InProcess::new();
    run.refuse(|request| is_list(request).then(|| answer(200, "<html>Sign in</html>")));
    let report = run.run_whole("a a@x.example Ann");
    assert_eq!((report.exit.code(), report.done.created_count), (1, 0), "{report:?}");
    let said =
        |run: &InProcess| run.events().iter().filter(|event| event["event_type"] == "user_lookup_provision").count();
    assert_eq!(said(&run), 1);
    run.run_whole("a a@x.example Ann");
    assert_eq!(said(&run), 1, "once per user and cause");
    run.obey();
    run.run_whole("a a@x.example Ann");
    run.judge("a a@x.example Ann", "after the login page");
    run.refuse(|request| is_list(request).then(|| answer(200, "<html>Sign in</html>")));
    run.run_whole("a a@x.example Ann|b b@x.example Ben");
    assert_eq!(said(&run), 2, "another user's trouble is said");
}

#[test]
fn an_ignored_filter_makes_the_whole_list_decide() {
    let run = InProcess::new();
    run.run_whole(&staff(3, "Pat"));
    run.accounts.borrow_mut().add(json!({"userName": "New@x.example", "name": {"givenName": "New"}}));
    let all: Vec<Value> = run.accounts.borrow().by_id.values().cloned().collect();
    run.refuse(move |request| {
        request
            .target
            .contains("filter=")
            // Whatever is asked for, the same accounts come back, and the one that is asked for is not among them.
            .then(|| {
                answer(200, &json!({"totalResults": all.len() - 1, "Resources": all[..all.len() - 1]}).to_string())
            })
    });
    let report = run.run_whole(&format!("{}|n new@x.example New", staff(3, "Pat")));
    assert_eq!((report.done.linked_count, report.done.created_count), (1, 0), "{report:?}");
}

#[test]
fn a_filter_that_cares_for_letter_case_is_not_trusted() {
    let run = InProcess::new();
    run.run_whole(&staff(3, "Pat"));
    run.accounts.borrow_mut().add(json!({"userName": "New@x.example", "name": {"givenName": "New"}}));
    let all: Vec<Value> = run.accounts.borrow().by_id.values().cloned().collect();
    run.refuse(move |request| {
        let filter = percent_encoding::percent_decode_str(&request.target).decode_utf8_lossy().into_owned();
        let name = filter.split('"').nth(1)?.to_owned();
        let found: Vec<_> = all.iter().filter(|account| account["userName"] == *name).collect();
        Some(answer(200, &json!({"totalResults": found.len(), "Resources": found}).to_string()))
    });
    let report = run.run_whole(&format!("{}|n new@x.example New", staff(3, "Pat")));
    assert_eq!((report.done.linked_count, report.done.created_count), (1, 0), "{report:?}");
}

#[test]
fn a_list_that_shows_too_few_does_not_prove_that_nobody_is_there() {
    let run = InProcess::new();
    run.accounts.borrow_mut().add(json!({"userName": "u002@x.example", "name": {"givenName": "Pat"}}));
    run.refuse(|request| {
        (is_list(request) && !request.target.contains("filter="))
            .then(|| answer(200, r#"{"totalResults":3,"Resources":[]}"#))
    });
    let report = run.run_whole(&staff(6, "Pat"));
    assert_eq!((report.done.linked_count, report.done.created_count), (1, 5), "{report:?}");
}

#[test]
fn a_list_that_repeats_and_lies_about_its_total_makes_nobody_twice() {
    let run = InProcess::new();
    for number in 0..150 {
        run.accounts
            .borrow_mut()
            .add(json!({"userName": format!("p{number}@x.example"), "name": {"givenName": "Pat"}}));
    }
    let first: Vec<Value> = run.accounts.borrow().by_id.values().take(100).cloned().collect();
    run.refuse(move |request| {
        let lies = is_list(request) && !request.target.contains("filter=");
        lies.then(|| answer(200, &json!({"totalResults": 100, "Resources": first}).to_string()))
    });
    let everybody: Vec<_> = (0..150).map(|number| format!("i{number:03} p{number}@x.example Pat")).collect();
    let report = run.run_whole(&everybody.join("|"));
    assert_eq!((report.done.linked_count, report.done.created_count), (150, 0), "{:?}", report.counts());
}

#[test]
fn two_accounts_with_one_username_are_refused() {
    let run = InProcess::new();
    for _ in 0..2 {
        run.accounts.borrow_mut().add(json!({"userName": "a@x.example"}));
    }
    check(&run.run_whole("a a@x.example Ann"), 0, OutstandingKind::Refused, 1);
}

#[test]
fn accounts_whose_ids_changed_are_linked_again_not_doubled() {
    let run = InProcess::new();
    run.run_whole(&staff(3, "Pat"));
    let mut accounts = run.accounts.borrow_mut();
    let moved: Vec<_> = accounts.by_id.keys().filter(|id| id.as_str() == "account-3").cloned().collect();
    for id in moved {
        let mut account = accounts.by_id.remove(&id).expect("an account");
        account["id"] = format!("new-{id}").into();
        accounts.by_id.insert(format!("new-{id}"), account);
    }
    let before = accounts.by_id.len();
    drop(accounts);
    run.refresh.set(true);
    let report = run.run_whole(&staff(3, "Pat"));
    assert_eq!((report.exit.code(), report.done.linked_count, report.done.created_count), (0, 1, 0), "{report:?}");
    assert_eq!(run.accounts.borrow().by_id.len(), before);
}
