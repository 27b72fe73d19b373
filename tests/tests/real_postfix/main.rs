//! Postrider beside the real Postfix, on port 25, hooked up with nothing but what Postrider itself
//! prints and generates: the whole way of a post, and what happens to mail while lists come and go,
//! programs fail and processes are killed.
//!
//! Every test runs with tables of the types hash, lmdb and regexp, each in a box of its own; what happens
//! while lists come and go is tried with all other types too. Whoever
//! must be refused or accepted comes from 127.0.0.2, whom Postfix does not trust.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the right answer")]

mod changes;
mod failures;
mod kills;
mod post;
mod rights;
mod site;
mod stops;
mod traffic;

macro_rules! with_each_table_type {
    ($($module:ident::$test:ident),* $(,)?) => {
        with_each_table_type!(@ hash [$($module::$test)*]);
        with_each_table_type!(@ lmdb [$($module::$test)*]);
        with_each_table_type!(@ regexp [$($module::$test)*]);
    };
    (@ $table_type:ident [$($module:ident::$test:ident)*]) => {
        mod $table_type {
            $(#[test]
            fn $test() {
                crate::$module::$test(stringify!($table_type));
            })*
        }
    };
}

with_each_table_type! {
    // The longest first: two run at a time.
    kills::killed_after_any_step_nothing_is_refused_and_the_next_run_finishes,
    post::a_strangers_post_reaches_two_mailboxes_and_the_rest_of_the_world_once,
    post::unknown_lists_and_functions_are_refused_at_rcpt_and_detail_is_kept,
    changes::a_new_list_takes_mail_from_the_moment_create_returns,
    changes::a_new_list_beside_mailboxes_takes_mail_from_the_moment_create_returns,
    changes::a_removed_list_is_refused_and_what_it_had_accepted_is_delivered,
    failures::a_failing_program_of_postfix_leaves_the_tables_as_they_were,
    failures::lists_are_made_while_postfix_is_stopped,
    stops::what_comes_while_postrider_is_stopped_waits_in_postfix,
    rights::without_root_the_rest_is_said_and_nothing_is_refused,
}

#[test]
fn at_a_port_of_its_own_postfix_makes_the_senders_of_a_post() {
    post::at_a_port_of_its_own_postfix_makes_the_senders_of_a_post("lmdb");
}

macro_rules! with_the_other_table_types {
    ($($table_type:ident)*) => {
        $(mod $table_type {
            #[test]
            fn a_new_list_takes_mail_from_the_moment_create_returns() {
                crate::changes::a_new_list_takes_mail_from_the_moment_create_returns(stringify!($table_type));
            }

            #[test]
            fn a_new_list_beside_mailboxes_takes_mail_from_the_moment_create_returns() {
                crate::changes::a_new_list_beside_mailboxes_takes_mail_from_the_moment_create_returns(stringify!(
                    $table_type
                ));
            }
        })*
    };
}

with_the_other_table_types! { sqlite texthash }
