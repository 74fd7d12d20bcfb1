//! Trial 5: a full disk. Accepting ends, settling goes on, and accepting begins again without a restart.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use palomar_broker::{
    Broker, BrokerError, EmbeddedBroker, EmbeddedConfig, Outcome, Settle, Signal, store_info,
};

use crate::process::{WallClock, job, run, take};

/// A small file system of its own, for as long as it is held.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> SmallDisk {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(at).output();
        let mounted = mount.as_ref().is_ok_and(|output| output.status.success());
        assert!(
            mounted,
            "this trial mounts a 64 MiB tmpfs: it needs root, or CAP_SYS_ADMIN in its container: {mount:?}"
        );
        SmallDisk(at.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// 20 KiB that do not compress.
fn payload(n: u128) -> Vec<u8> {
    (0..20_480_u128)
        .map(|i| (i.wrapping_mul(2_654_435_761 + 2 * n).wrapping_mul(i + n) >> 11) as u8)
        .collect()
}

/// Accepts jobs until the disk is full; answers the number of the next one.
async fn fill(broker: &EmbeddedBroker, mut next: u128) -> u128 {
    loop {
        match broker.enqueue((next..next + 20).map(|n| job(n, payload(n))).collect()).await {
            Ok(_) => next += 20,
            Err(error) => {
                assert_eq!(error, BrokerError::Full);
                return next;
            }
        }
    }
}

/// Leases and settles until nothing waits; answers how many jobs that were.
async fn drain(broker: &EmbeddedBroker) -> u128 {
    let mut drained = 0;
    loop {
        let taken = broker.lease(take(20, Duration::ZERO)).await.expect("leasing goes on");
        if taken.is_empty() {
            return drained;
        }
        assert!(taken.iter().all(|job| job.payload == payload(job.lease.id.0.as_u128())));
        let done = |job: &palomar_broker::LeasedJob| Settle {
            lease: job.lease,
            outcome: Outcome::Done,
            signal: Signal::None,
            events: vec!["done".into()],
        };
        let answers = broker.settle(taken.iter().map(done).collect()).await.expect("settling goes on");
        assert!(answers.iter().all(Result::is_ok));
        drained += taken.len() as u128;
    }
}

/// Waits until the broker accepts again.
async fn accepts_again(broker: &EmbeddedBroker, n: u128) {
    let again = async {
        while let Err(error) = broker.enqueue(vec![job(n, payload(n))]).await {
            assert_eq!(error, BrokerError::Full);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(30), again).await;
    assert!(within.is_ok(), "accepts again: {:?}", store_info(broker.dir()));
}

#[test]
fn a_full_disk_ends_accepting_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let _disk = SmallDisk::mount(dir.path());
    let broker =
        EmbeddedBroker::open(EmbeddedConfig::in_dir(dir.path()), Arc::new(WallClock)).expect("opens");
    run(async {
        // Filled by the queue itself, drained, and filled again; then by somebody else's file.
        let mut next = 1;
        for round in 0..3 {
            let full_at = fill(&broker, next).await;
            assert!(full_at - next > 100, "round {round}: {} jobs fit", full_at - next);
            assert_eq!(drain(&broker).await, full_at - next, "round {round}: all that was accepted goes on");
            accepts_again(&broker, full_at).await;
            println!(
                "full: round {round}: {} jobs accepted, {} bytes free",
                full_at - next,
                broker.free_bytes()
            );
            assert_eq!(drain(&broker).await, 1);
            next = full_at + 1;
        }
        let ballast = dir.path().join("ballast");
        let room = usize::try_from(broker.free_bytes()).expect("small");
        std::fs::write(&ballast, vec![7; room - (1 << 20)]).expect("writes");
        let full_at = fill(&broker, next).await;
        drain(&broker).await;
        std::fs::remove_file(&ballast).expect("removes");
        accepts_again(&broker, full_at).await;
        assert_eq!(broker.failure(), None);
        broker.close().await.expect("closes");
    });
}
