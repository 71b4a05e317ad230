//! Tells people of claims, once nobody waits for one: an event is a write as well.
//!
//! Holds: one at a time; as long as claims are being served it waits, but not for ever.

use super::context::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How often it is looked whether claims are being served still.
const LOOK: Duration = Duration::from_millis(50);

/// So often at most.
const LOOKS: usize = 20;

/// Tells what is to be told, until it is dropped.
pub async fn run(ctx: Arc<Context>) {
    loop {
        let (about, said) = ctx.memories.announcements.next().await;
        for _ in 0..LOOKS {
            if !ctx.stores.claims.queue.is_busy() {
                break;
            }
            sleep(LOOK).await;
        }
        ctx.events.publish(&about, &said).await;
    }
}
