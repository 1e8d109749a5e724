//! Reasons without variable parts: variant, stable code and sentence, on one line each.
//!
//! A sentence may change at any time. A code must not: it is stored, compared and read by other programs.

worded! {
    /// Why a record of the export cannot be used. The sentences repeat no value of the record.
    RecordFault {
        NoId = "no_id", "the record has no id";
        EmptyId = "empty_id", "id is empty";
        LongId = "long_id", "id is longer than 255 bytes";
        IdType = "id_type", "id is not a string";
        ErrorId = "error_id", "id is an error of a spreadsheet, such as `#REF!`";
        PlaceholderId = "placeholder_id", "id is not an id but what programs write where there is none, such as `null` or `System.Byte[]`";
        InvalidId = "invalid_id", "the record has no valid id";
        NoUsername = "no_username", "the record has no username";
        UsernameType = "username_type", "username is not a string";
        LongUsername = "long_username", "username is longer than 254 bytes";
        UsernameCharacters = "username_characters", "username contains a space, a control character or an invisible character";
        UsernameFormat = "username_format", "username is not an e-mail address";
        FirstnameType = "firstname_type", "firstname is not a string";
        Firstname = "firstname", "firstname is longer than 1024 bytes or has a control character";
        LastnameType = "lastname_type", "lastname is not a string";
        Lastname = "lastname", "lastname is longer than 1024 bytes or has a control character";
        EmailType = "email_type", "email is not a string";
        StateType = "state_type", "state is not a string";
        UnknownState = "unknown_state", "state is not one of the known words";
        NoState = "no_state", "the record has no state, but the export has a state column";
        SuspendedType = "suspended_type", "suspended is not a boolean";
        ActivatedType = "activated_type", "activated is not a boolean";
        GroupsType = "groups_type", "groups is not a list of names";
        GroupsForm = "groups_form", "groups is not a list of names separated by group_separator, or spells a group of [scope] otherwise";
        NoGroups = "no_groups", "the record has no groups, but [scope] selects by group";
        MembershipOfNobody = "membership_of_nobody", "the members file lists this user, but the export does not have the user";
        MembershipId = "membership_id", "the members file lists this username with another id";
        FirstnameNull = "firstname_null", "firstname is a word like `null`, so it is left as it is";
        LastnameNull = "lastname_null", "lastname is a word like `null`, so it is left as it is";
        DuplicateId = "duplicate_id", "two records have this id";
        DuplicateUsername = "duplicate_username", "another id has the same username, or one that differs only in form";
    }
}

worded! {
    /// Whose username it is that a user should get, or already has.
    UsernameConflict {
        Renamed = "renamed", "the directory has another username; Rhombus does not change usernames";
        OfRenamed = "username_of_renamed", "the username belongs to the account of a user who was renamed in the directory";
        OfAnother = "username_of_another", "another user's account still has this username";
        NotFreed = "username_not_freed", "the username still belongs to an account whose removal is not confirmed";
        OfHeld = "username_of_held", "the username still belongs to an account whose removal is held";
        CreateInDoubt = "create_in_doubt", "an earlier create with this username got no answer; it is being looked up";
        TwoAccounts = "two_accounts", "two accounts in Rhombus have this username";
        AccountWithoutId = "account_without_id", "the account in Rhombus with this username has no usable id";
        LinkedToAnother = "linked_to_another", "the account in Rhombus with this username is linked to another user";
        NotOurs = "not_ours", "an account in Rhombus that we did not create has this username";
        Hidden = "username_hidden", "Rhombus says that the username is taken, but shows no account with it";
        AnsweredLinked = "answered_linked", "Rhombus answered with an account that is linked to another user";
    }
}

worded! {
    /// Why a change was not tried yet.
    NotTried {
        Unproven = "absent", "missing from an export that may be incomplete; must also be missing from the next one";
        Unlisted = "unlisted", "in no scoped group of a members file that may be incomplete; must also be missing from the next one";
        UnnamedMembership = "unnamed_membership", "in no scoped group, but the members file has a row without a usable id that might be this user";
        UnnamedRecord = "unnamed_record", "missing from the export, but it has a record without a usable id that might be this user";
        InDoubt = "in_doubt", "an earlier request got no answer; its outcome is being looked up";
        Forgotten = "forgotten", "the link was removed by hand; the next cycle makes a new plan";
        OldPlan = "old_plan", "the plan is more than ten minutes old; the next cycle makes a new plan";
        NotAsApproved = "not_as_approved", "the account is not as it was when the removal was let through; the next cycle makes a new plan";
        Throttled = "throttled", "Rhombus asked us to wait";
        TokenRefused = "token_refused", "Rhombus refuses the token";
        WrongEndpoint = "wrong_endpoint", "this does not look like the endpoint this state belongs to";
        NoAnswer = "unreachable", "Rhombus does not answer";
        NotRefreshed = "not_refreshed", "could not read the accounts in Rhombus";
        Stopped = "stopped", "stopped before its turn";
        Deactivated = "deactivated", "deactivated before its turn";
        NotLeading = "not_leading", "this host stopped leading before its turn";
        NotInThisCycle = "not_tried", "not tried in this cycle";
    }
}

worded! {
    /// How an account at Rhombus differs from what it should be.
    AccountState {
        Gone = "gone", "the account is gone from Rhombus";
        CreatedAgain = "vanished", "the account is gone from Rhombus; the next cycle creates it again";
        Inactive = "inactive", "the account is inactive in Rhombus";
        Reactivated = "found_inactive", "the account was found inactive; the next cycle reactivates it";
        CreatedInactive = "created_inactive", "the account was created inactive; the next cycle reactivates it";
        Unread = "unread", "the account could not be read; the next cycle asks again";
        CreatedOtherwise = "created_otherwise", "the account was created with other names; the next cycle sets them";
        NamesChanged = "names_changed", "the names were changed in Rhombus";
        StillThere = "still_there", "Rhombus accepted the removal, but the account is still there and active";
        Unmanaged = "unmanaged", "the account carries an id of your directory, but is not managed here";
        NotApplied = "not_applied", "Rhombus accepted the update, but the account is unchanged";
        NeverApplied = "never_applied", "Rhombus accepted three updates and changed nothing";
    }
}

worded! {
    /// Why nothing follows from what Rhombus answered.
    AnswerDoubt {
        NotAnAccount = "not_an_account", "the answer to a read is not an account";
        Markup = "markup", "the answer is a web page, not JSON";
        OtherId = "other_id", "Rhombus shows another account under this id";
        OtherUser = "other_user", "Rhombus answered with another user's account";
        ShortList = "short_list", "the list contains fewer accounts than it declares";
        LongList = "long_list", "the list contains more accounts than can be kept";
        PartialFilter = "partial_filter", "the filter returned only part of what it found";
        NotRead = "not_read", "Rhombus accepted the update, but the account cannot be read";
        CallsUsedUp = "calls_used_up", "this user has taken as many requests as one cycle allows";
        NoWitness = "no_witness", "the account is gone, but no answer shows that this is the right endpoint";
        Interrupted = "interrupted", "the cycle ended before the answer was known";
    }
}

worded! {
    /// What an account shows that is not what it was when it was linked.
    Mismatch {
        UserName = "user_name", "the account has another userName in Rhombus than the one that was linked";
        ExternalId = "external_id", "the account has another externalId in Rhombus than when it was linked";
    }
}
