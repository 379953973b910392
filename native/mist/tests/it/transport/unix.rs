//! The file of a Unix socket: who may replace it, who may connect, when it goes.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use super::*;

async fn bind(uri: &str) -> Result<Server, BindError> {
    Server::builder().listen(uri).bind().await
}

#[tokio::test]
async fn the_file_goes_with_the_server() {
    let files = Certificate::default();
    let path = files.path("mist.sock");
    let uri = format!("unix://{}", path.display());
    let site = serve(&files, &uri).await;
    let client = connect(&uri, &files).await;
    within(client.ping()).await.expect("a pong");
    site.stop().await;
    assert!(!path.exists());
    // Also when it never ran.
    drop(bind(&uri).await.expect("bound"));
    assert!(!path.exists());
}

#[tokio::test]
async fn only_its_owner_may_connect_unless_the_uri_says_so() {
    let files = Certificate::default();
    let path = files.path("mist.sock");
    for (query, wanted) in [("", 0o600), ("?mode=0660", 0o660), ("?mode=777", 0o777)] {
        let server = bind(&format!("unix://{}{query}", path.display())).await;
        let server = server.expect("bound");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, wanted);
        // The address is the one to connect to.
        let shown = server.addresses()[0].to_string();
        assert_eq!(shown, format!("unix://{}", path.display()));
    }
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_replaced() {
    let files = Certificate::default();
    let path = files.path("mist.sock");
    drop(UnixListener::bind(&path).expect("bound"));
    assert!(path.exists(), "it is left behind");
    let uri = format!("unix://{}", path.display());
    let site = serve(&files, &uri).await;
    within(connect(&uri, &files).await.ping())
        .await
        .expect("a pong");
    site.stop().await;
}

#[tokio::test]
async fn a_socket_in_use_is_left_alone() {
    let files = Certificate::default();
    let path = files.path("mist.sock");
    let uri = format!("unix://{}", path.display());
    let site = serve(&files, &uri).await;
    let error = bind(&uri).await.expect_err("it is in use").to_string();
    assert!(error.contains("in use") && error.contains(&uri), "{error}");
    within(connect(&uri, &files).await.ping())
        .await
        .expect("a pong");
    site.stop().await;
    // Also one whose owner is too busy to accept.
    let busy = UnixListener::bind(&path).expect("bound");
    let error = bind(&uri).await.expect_err("it is in use").to_string();
    assert!(error.contains("in use"), "{error}");
    drop(busy);
}

#[tokio::test]
async fn what_is_not_a_socket_is_never_removed() {
    let files = Certificate::default();
    let path = files.path("notes.txt");
    std::fs::write(&path, "dear").expect("written");
    let link = files.path("link");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    for place in [&path, &link, &files.folder.path().to_owned()] {
        let error = bind(&format!("unix://{}", place.display())).await;
        let error = error.expect_err("it is something else").to_string();
        assert!(error.contains("else than a socket"), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&link).expect("there"), "dear");
}

#[tokio::test]
async fn a_file_that_somebody_has_put_there_since_stays() {
    let files = Certificate::default();
    let path = files.path("mist.sock");
    let site = serve(&files, &format!("unix://{}", path.display())).await;
    std::fs::rename(&path, files.path("moved.sock")).expect("moved");
    let other = UnixListener::bind(&path).expect("bound");
    site.stop().await;
    assert!(
        std::fs::metadata(&path)
            .expect("still there")
            .file_type()
            .is_socket()
    );
    drop(other);
}

#[tokio::test]
async fn servers_that_start_at_once_do_not_take_it_from_each_other() {
    let files = Certificate::default();
    let path = files.path("mist.sock");
    let uri = format!("unix://{}", path.display());
    for _ in 0..20 {
        drop(UnixListener::bind(&path).expect("a stale one"));
        let runtime = tokio::runtime::Handle::current();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (runtime, uri) = (runtime.clone(), uri.clone());
                std::thread::spawn(move || {
                    let _inside = runtime.enter();
                    futures_util::FutureExt::now_or_never(bind(&uri)).expect("at once")
                })
            })
            .collect();
        let outcomes: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    }
}

#[tokio::test]
async fn a_missing_socket_is_said() {
    let error = within(Client::connect("unix:///no/such.sock")).await;
    let error = error.expect_err("nothing there").to_string();
    assert!(
        error.contains("unix:///no/such.sock") && error.contains("no such socket"),
        "{error}"
    );
}
