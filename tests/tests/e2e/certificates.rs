//! Users who prove themselves with an OpenSSH certificate.

use std::path::Path;

use tidegate_tests::run::Run;
use tidegate_tests::world::{Options, World};

use crate::support::Scratch;

/// Makes a CA's key there; answers its public half.
pub fn new_ca(path: &Path) -> String {
    Run::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).ok().unwrap();
    std::fs::read_to_string(path.with_extension("pub")).unwrap().trim().to_owned()
}

#[test]
fn a_certificate_of_a_configured_ca_lets_its_user_in_and_no_other_certificate_does() {
    let scratch = Scratch::new("certificates");
    let (ca, foreign) = (scratch.path("ca"), scratch.path("foreign"));
    let line = new_ca(&ca);
    new_ca(&foreign);
    let more = format!("\n[ssh]\ntrusted_user_cas = [\"{line}\"]\n");
    let world = World::start(Options { more, ..Options::default() }).unwrap();
    // No keys of their own: nothing but a certificate lets them in.
    world.apply("[[user]]\nname = \"carol\"\n\n[[user]]\nname = \"dave\"\n").unwrap();
    let key = world.client().key("carol").unwrap();
    let enters = |signer: &Path, options: &[&str]| {
        let sign = Run::new("ssh-keygen").args(["-q", "-s"]).arg(signer).args(["-I", "a-test"]);
        sign.args(options).arg(key.with_extension("key.pub")).ok().unwrap();
        world.client().console("carol", &["access", "list"]).unwrap().run().unwrap()
    };
    let valid = ["-n", "carol", "-V", "-1m:+10m"];
    let let_in = enters(&ca, &valid);
    assert!(let_in.success(), "{}\n{}", let_in.all(), world.log());
    for (signer, options) in [
        (&foreign, &valid[..]),
        (&ca, &["-n", "dave", "-V", "-1m:+10m"]),
        (&ca, &["-n", "carol", "-V", "-2h:-1h"]),
        (&ca, &["-n", "carol", "-V", "-1m:+10m", "-O", "source-address=192.0.2.0/24"]),
        (&ca, &["-h", "-n", "carol", "-V", "-1m:+10m"]),
    ] {
        let refused = enters(signer, options);
        assert!(
            !refused.success() && refused.err().contains("Permission denied"),
            "{options:?}: {}",
            refused.all()
        );
    }
    let here = enters(&ca, &["-n", "carol", "-V", "-1m:+10m", "-O", "source-address=127.0.0.0/8"]);
    assert!(here.success(), "{}", here.all());
}
