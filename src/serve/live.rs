//! The camera's pictures, for administrators who watch.
//!
//! In: the newest frame of the feed. Out: over a WebSocket, what was seen in it as text, then the picture
//! as JPEG. Invariants: that somebody begins to watch is recorded, with the account; a picture is made
//! only while somebody watches, once for all of them, at most ten a second, and no more than
//! [`VIEWERS_MAX`] do; it is in memory alone, gone with the next one, and with whoever looked last; who is
//! too slow misses pictures.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::app::{App, blocking};
use super::feed::{Looking, Snapshot};
use super::guard::Identity;
use super::guided;
use super::problem::Problem;
use crate::clock::Clock as _;
use crate::frame::{Frame, Sampler};
use crate::geometry::Similarity;
use crate::store::Administrative;

/// A picture is made no wider and no higher than so many pixels.
const SIDE_MAX: u32 = 960;
const QUALITY: u8 = 75;
/// How many may watch at once.
const VIEWERS_MAX: usize = 5;
/// Who does not take a message for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);
const CHECK_EVERY: Duration = Duration::from_secs(15);

/// What is sent of one frame.
pub(super) struct Picture {
    seen: String,
    jpeg: Bytes,
}

/// `GET /api/v1/live`
pub(super) async fn watch(
    State(app): State<Arc<App>>,
    who: Identity,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let looking = app.feed.view(VIEWERS_MAX).ok_or_else(|| {
        Problem::too_many("as many watch the camera as may", 10).helped("close another page")
    })?;
    app.change(&who, |store, by| {
        let event = Administrative::LiveViewWatched;
        Ok(store.record_admin(event, by.door, by.boot, by.now, by.wall)?)
    })
    .await?;
    tracing::info!(account = %who.account.name, "somebody watches the camera on the page");
    let upgrade = upgrade.max_message_size(1024).max_frame_size(1024);
    Ok(upgrade.on_upgrade(move |socket| show(app, who, looking, socket)))
}

async fn show(app: Arc<App>, who: Identity, looking: Looking, mut socket: WebSocket) {
    let mut pictures = app.pictures.subscribe();
    let mut check = tokio::time::interval(CHECK_EVERY);
    let mut stop = app.stop.clone();
    loop {
        tokio::select! {
            changed = pictures.changed() => {
                if changed.is_err() {
                    break;
                }
                let picture = pictures.borrow_and_update().clone();
                let Some(picture) = picture else { continue };
                let text = Message::Text(picture.seen.clone().into());
                if !sent(&mut socket, text).await
                    || !sent(&mut socket, Message::Binary(picture.jpeg.clone())).await
                {
                    break;
                }
            }
            // A page says nothing: what comes is a ping, which is answered by itself, or the end.
            word = socket.recv() => match word {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => break,
            },
            _ = check.tick() => if !who.still(&app).await { break },
            _ = stop.changed() => break,
        }
    }
    drop(looking);
}

async fn sent(socket: &mut WebSocket, message: Message) -> bool {
    matches!(tokio::time::timeout(PATIENCE, socket.send(message)).await, Ok(Ok(())))
}

/// Takes frames from the feed while somebody wants them, until the page ends.
pub(super) async fn look(app: Arc<App>) {
    let mut snapshot = Snapshot::default();
    loop {
        app.feed.fresh.notified().await;
        snapshot = see(&app, snapshot).await;
    }
}

/// Takes the newest frame, if there is one; memory for the next, which holds nothing of this one where
/// nobody looks any more.
async fn see(app: &Arc<App>, mut snapshot: Snapshot) -> Snapshot {
    if app.feed.take(&mut snapshot) {
        let for_work = Arc::clone(app);
        let done = blocking(move || {
            work(&for_work, &mut snapshot);
            Ok(snapshot)
        });
        snapshot = done.await.unwrap_or_default();
    }
    if app.feed.viewers() == 0 {
        app.pictures.send_replace(None);
    }
    if !app.feed.wants_pictures(app.clock.now()) {
        // Also what was handed in while the last one looked away.
        app.feed.empty();
        return Snapshot::default();
    }
    snapshot
}

fn work(app: &App, snapshot: &mut Snapshot) {
    let sighting = snapshot.sighting.take();
    let Some(Ok(frame)) = snapshot.frame() else { return };
    let judged = guided::see(app, &frame);
    if app.feed.viewers() == 0 {
        return;
    }
    let mut seen = sighting.or(judged);
    for subject in
        seen.iter_mut().flat_map(|seen| &mut seen.faces).filter_map(|f| f.subject.as_mut())
    {
        let known = app.database().subject(subject.id.as_str());
        subject.name = known.ok().map(|known| known.name);
    }
    let seen = seen.and_then(|seen| serde_json::to_string(&seen).ok());
    let Some(jpeg) = encode(&frame) else { return };
    app.pictures.send_replace(Some(Arc::new(Picture {
        seen: seen.unwrap_or_else(|| "{}".to_owned()),
        jpeg,
    })));
}

/// `frame` as JPEG, as it is seen, no larger than [`SIDE_MAX`].
fn encode(frame: &Frame<'_>) -> Option<Bytes> {
    let (width, height) = (frame.width(), frame.height());
    let reduced = width.max(height).div_ceil(SIDE_MAX).max(1);
    let (across, down) = ((width / reduced).max(1), (height / reduced).max(1));
    let mut pixels = vec![[0_u8; 3]; across as usize * down as usize];
    let pose = Similarity { a: reduced as f32, b: 0.0, tx: 0.0, ty: 0.0 };
    Sampler::new(*frame).fill(&mut pixels, across as usize, pose, reduced as usize);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode(pixels.as_flattened(), across, down, ExtendedColorType::Rgb8)
        .ok()?;
    Some(jpeg.into())
}

#[cfg(test)]
mod tests {
    use super::super::app::tests::{app, run};
    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::PixelFormat;

    #[test]
    fn no_picture_stays_when_the_last_one_looks_away() {
        let folder = tempfile::tempdir().unwrap();
        let (app, _running) = app(folder.path());
        let pixels = [9; 16 * 16];
        let frame = |number, ms| {
            let at = Monotonic::from_millis(ms);
            Frame::new(&pixels, PixelFormat::Grey, (16, 16), 16, number, at).unwrap()
        };
        run(async {
            let looking = app.feed.view(VIEWERS_MAX).unwrap();
            app.feed.unjudged(&frame(1, 1000), Monotonic::from_millis(1000));
            let snapshot = see(&app, Snapshot::default()).await;
            assert!(app.pictures.borrow().is_some() && snapshot.frame().is_some());
            app.feed.fresh.notified().await;
            drop(looking);
            // As it comes from the door's thread, which had begun to hand it in.
            app.feed.unjudged(&frame(2, 2000), Monotonic::from_millis(2000));
            app.feed.fresh.notified().await;
            let snapshot = see(&app, snapshot).await;
            assert!(app.pictures.borrow().is_none(), "made");
            assert!(snapshot.frame().is_none(), "taken");
            let mut left = Snapshot::default();
            assert!(!app.feed.take(&mut left) && left.frame().is_none(), "handed in");
        });
    }

    #[test]
    fn a_picture_shows_the_frame_and_is_no_larger_than_it_may_be() {
        let (width, height) = (2000, 1000);
        // Left half red, right half blue.
        let pixels: Vec<u8> = (0..width * height)
            .flat_map(|at| if at % width < width / 2 { [255, 0, 0] } else { [0, 0, 255] })
            .collect();
        let size = (width, height);
        let stride = width as usize * 3;
        let at = Monotonic::default();
        let frame = Frame::new(&pixels, PixelFormat::Rgb, size, stride, 1, at).unwrap();
        let picture = image::load_from_memory(&encode(&frame).unwrap()).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (666, 333));
        let [left, right] = [100, 566].map(|x| picture.get_pixel(x, 160).0);
        assert!(left[0] > 200 && left[2] < 60, "{left:?}");
        assert!(right[2] > 200 && right[0] < 60, "{right:?}");
    }
}
