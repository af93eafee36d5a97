//! Gates whose store is a database of PostgreSQL.

use tidegate_tests::postgres::Server;
use tidegate_tests::world::Options;

use crate::needs_devices;
use crate::scene::{ASKS_AND_WAITS, Scene, Stand};
use crate::story::is_told_to_its_end;

#[test]
fn on_postgresql_a_person_is_asked_approved_elevated_recorded_and_all_is_taken_back() {
    needs_devices!();
    let server = Server::start().unwrap();
    let options = Options { store: Some(server.database().unwrap()), ..Options::default() };
    let stand = Stand::with("pg01", options);
    is_told_to_its_end(&Scene::set(&stand.world, &stand.device, "tale", ASKS_AND_WAITS));
    assert!(!stand.world.state().join("tidegate.db").exists());
    let kept = server.sql("t0", "SELECT count(*) FROM session WHERE ended IS NOT NULL").unwrap();
    assert_eq!(kept, "1");
}
