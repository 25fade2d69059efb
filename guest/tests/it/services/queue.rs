use super::{Case, Failure};
use crate::fake::{World, get_with};

pub const CASES: &[Case] = &[
    ("named(name) -> queue", r#"queue::named("mail").send(1); "ok""#, "ok"),
    ("send(payload)", r#"queue::named("mail").send(#{to: "ann"}); "ok""#, "ok"),
    (
        "send(payload, #{delay, key})",
        r#"queue::named("mail").send(1, #{delay: 60, key: "k"}); "ok""#,
        "ok",
    ),
];

pub const FAILURES: &[Failure] = &[
    (r#"queue::named("bad name").send(1)"#, "invalid_name"),
    (r#"queue::named("bad key").send(1)"#, "invalid_key"),
    (r#"queue::named("bad value").send(1)"#, "invalid_value"),
    (r#"queue::named("large").send(1)"#, "value_too_large"),
    (r#"queue::named("late").send(1)"#, "invalid_delay"),
    (r#"queue::named("nobody").send(1)"#, "no_consumer"),
    (r#"queue::named("mail").send(1, #{delay: -1})"#, "invalid_option"),
    (r#"queue::named("mail").send(1, #{delai: 1})"#, "unknown_option"),
];

#[test]
fn a_message_is_sent_as_json_with_its_options() {
    let world = World::default();
    get_with(
        &world,
        r#"queue::named("mail").send([1]); queue::named("mail").send((), #{delay: 0, key: "k"})"#,
    );
    assert_eq!(world.log(), ["sent mail [1] None None", r#"sent mail null Some(0) Some("k")"#]);
}
