//! Every case on every subject, in both versions of HTTP; the name of a test says which.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "tests"
)]

mod cases;
mod identical;

use idnow_webhooks_conformance::{Protocol, Subject, Target, run};

/// One test for each case, on one target.
macro_rules! tests {
    ($subject:ident, $protocol:ident: $($module:ident { $($case:ident,)+ })+) => {
        $(mod $module {
            use super::*;
            $(#[test]
            fn $case() {
                let on = Target { subject: Subject::$subject, protocol: Protocol::$protocol };
                run(crate::cases::$module::$case(on));
            })+
        })+
    };
}

/// The cases that HTTP can express in any version.
macro_rules! on_any_protocol {
    ($subject:ident, $protocol:ident) => {
        tests! { $subject, $protocol:
            accepted {
                a_token_in_the_body,
                the_published_example,
                a_duplicate_without_a_second_call,
                any_media_type_or_none,
                a_token_with_something_around_it,
                a_token_in_the_body_beside_any_header,
                an_encoding_that_is_none,
                a_query_after_the_path,
                a_token_in_the_header_and_the_loose_body_ignored,
                a_token_in_the_header_without_a_body,
                a_token_in_a_header_of_another_name,
                an_event_that_nobody_knows,
                an_unreadable_event_with_a_handler_for_it,
                queued_events_and_their_duplicates,
            }
            refused {
                other_methods,
                compressed_bodies,
                bodies_that_are_no_token,
                header_tokens_that_are_none,
                forged_tokens,
                tokens_that_may_be_genuine,
                an_unknown_key_while_the_key_server_is_down,
                events_for_another_environment,
                unreadable_events,
            }
            admission {
                the_peer_on_the_allow_list,
                the_peer_not_on_the_allow_list,
                the_peer_in_monitor_mode,
                the_source_behind_a_trusted_proxy,
                a_required_header,
                basic_authentication,
                everything_before_the_body_is_read,
            }
            handlers {
                one_that_asks_for_another_try,
                one_that_panics,
                one_that_fails_for_good,
                one_that_is_too_slow,
                a_duplicate_while_the_first_runs,
                more_deliveries_than_may_be_in_progress,
                a_client_that_goes_away_meanwhile,
            }
            bodies {
                in_many_tiny_pieces,
                slow_but_in_time,
                too_slow,
                too_long_in_pieces,
                too_long_as_declared,
                too_long_beside_a_header_token,
                clients_that_do_not_finish,
            }
            beside {
                its_own_route_is_untouched,
                its_bodies_stream_both_ways,
                other_paths_are_its_own,
            }
            connections {
                goes_on_after_a_refused_token,
                goes_on_or_closes_after_an_unread_body,
            }
            secrecy {
                nothing_of_the_request_comes_back,
            }
            wire {
                giant_headers,
                many_header_lines,
                a_slash_after_the_path,
            }
            load {
                a_thousand_events,
                a_thousand_attempts_of_one_event,
                a_thousand_forgeries_and_one_genuine_event,
            }
        }
    };
}

/// The cases about bytes that only HTTP/1.1 has.
macro_rules! on_http1 {
    ($subject:ident) => {
        mod by_hand {
            use super::*;
            tests! { $subject, Http1:
                connections {
                    answers_pipelined_deliveries_in_order,
                    an_offer_of_websocket_beside_a_body,
                    goes_on_or_says_that_it_closes_after_an_offer_to_upgrade,
                }
                wire {
                    a_body_that_breaks_off,
                    chunks_with_wrong_framing,
                    more_bytes_than_declared,
                    no_length_at_all,
                    lengths_that_are_none,
                    both_kinds_of_length,
                    the_same_length_twice,
                    a_body_that_waits_to_be_asked_for,
                    a_body_that_is_refused_before_it_is_asked_for,
                }
            }
        }
    };
}

/// The cases about frames, which only HTTP/2 has.
macro_rules! on_http2 {
    ($subject:ident) => {
        mod by_frames {
            use super::*;
            tests! { $subject, Http2:
                wire {
                    frames_that_contradict_the_length,
                }
            }
        }
    };
}

macro_rules! subject {
    ($name:ident, $subject:ident) => {
        mod $name {
            use super::*;
            mod http1 {
                use super::*;
                on_any_protocol!($subject, Http1);
                on_http1!($subject);
            }
            mod http2 {
                use super::*;
                on_any_protocol!($subject, Http2);
                on_http2!($subject);
            }
        }
    };
}

subject!(axum_layer, AxumLayer);
subject!(axum_route, AxumRoute);
subject!(actix_app, ActixApp);
subject!(actix_scope, ActixScope);
subject!(warp, Warp);
subject!(hyper, Hyper);
