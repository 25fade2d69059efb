use super::{Case, Failure};
use crate::fake::{World, get_with};

pub const CASES: &[Case] =
    &[("publish(topic, payload)", r#"events::publish("order.placed", #{id: 1}); "ok""#, "ok")];

pub const FAILURES: &[Failure] = &[
    (r#"events::publish("bad topic", 1)"#, "invalid_topic"),
    (r#"events::publish("bad value", 1)"#, "invalid_value"),
    (r#"events::publish("large", 1)"#, "value_too_large"),
    (r#"events::publish("t", || 1)"#, "invalid_value"),
];

#[test]
fn a_payload_is_published_as_json() {
    let world = World::default();
    get_with(&world, r#"events::publish("a", #{b: [1, ()]}); events::publish("c", ())"#);
    assert_eq!(world.log(), [r#"published a {"b":[1,null]}"#, "published c null"]);
}
