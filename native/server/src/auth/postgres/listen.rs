//! Owns how servers on one database hear of each other's changes, and of those that others make in it; knows nothing of what
//! follows from that.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use mist_core::TokenError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::{Client, Error, Notification};

use super::address::Link;
use super::{CREATION_LOCK, Failure, PATIENCE, Postgres, SESSION, create_tables};
use crate::auth::changed::Changed;

/// Notifications that were read and not dealt with; further ones wait in the database.
const QUEUE: usize = 1024;

/// How long nothing is heard before the database is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(5);

/// How long after the connection was lost the next is tried.
const RETRY: Duration = Duration::from_secs(1);

/// Everybody who may connect to the database may listen. So the notification has only the SHA-256 of a token, in base64; it is
/// empty if all tokens may have changed.
const LISTEN: &str = "LISTEN mist_tokens";

/// Reports changes that other programs make in the tables. It always runs with the rights of the tables' owner, and needs
/// `sha256`, which PostgreSQL has since version 11.
const TRIGGERS: &str = "
    CREATE OR REPLACE FUNCTION mist_tell_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            PERFORM pg_notify('mist_tokens', '');
        ELSIF TG_TABLE_NAME = 'tokens' THEN
            PERFORM pg_notify('mist_tokens', encode(sha256(convert_to(OLD.token, 'UTF8')), 'base64'));
        ELSE
            EXECUTE format(
                'SELECT pg_notify(''mist_tokens'', encode(sha256(convert_to(token, ''UTF8'')), ''base64''))
                FROM %I.tokens WHERE token_id IN ($1, $2)', TG_TABLE_SCHEMA)
            USING OLD.token_id, NEW.token_id;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER mist_tell_change AFTER UPDATE OR DELETE ON tokens
        FOR EACH ROW EXECUTE FUNCTION mist_tell_change();
    CREATE TRIGGER mist_tell_change AFTER INSERT OR UPDATE OR DELETE ON tags
        FOR EACH ROW EXECUTE FUNCTION mist_tell_change();
    CREATE TRIGGER mist_tell_truncation AFTER TRUNCATE ON tokens
        FOR EACH STATEMENT EXECUTE FUNCTION mist_tell_change();
    CREATE TRIGGER mist_tell_truncation AFTER TRUNCATE ON tags
        FOR EACH STATEMENT EXECUTE FUNCTION mist_tell_change()";

/// Whether triggers are missing, and we may create them.
const LACKS_TRIGGERS: &str = "
    SELECT to_regprocedure('sha256(bytea)') IS NOT NULL
        AND bool_and(pg_has_role(relowner, 'USAGE'))
        AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'mist_tell_change' AND tgrelid = 'tokens'::regclass)
    FROM pg_class WHERE oid IN ('tokens'::regclass, 'tags'::regclass)";

/// A connection that hears of changes.
struct Listening {
    link: Link,
    heard: mpsc::Receiver<Changed>,
}

impl Postgres {
    pub(in crate::auth) fn changes(&self) -> BoxStream<'_, Result<Changed, TokenError>> {
        let changes = stream::unfold(None, async |mut listening: Option<Listening>| {
            if let Some(open) = &mut listening
                && let Some(changed) = open.next().await
            {
                return Some((Ok(changed), listening));
            }
            // Changes between two connections are not reported.
            match self.listen().await {
                Ok(open) => Some((Ok(Changed::Any), Some(open))),
                Err(failure) => {
                    sleep(RETRY).await;
                    let why = self.explain(&failure);
                    Some((Err(TokenError::Unavailable(why)), None))
                }
            }
        });
        changes.boxed()
    }

    async fn listen(&self) -> Result<Listening, Failure> {
        let (tell, heard) = mpsc::channel(QUEUE);
        let open = async {
            let told = move |notification: Notification| {
                let tell = tell.clone();
                async move {
                    // A receiver that has stopped listening misses nothing.
                    let _ = tell.send(changed(notification.payload())).await;
                }
            };
            let mut link = self.address.connect(told).await?;
            link.client.batch_execute(SESSION).await?;
            create_tables(&mut link.client).await?;
            link.client.batch_execute(LISTEN).await?;
            Ok(link)
        };
        let link = timeout_at(Instant::now() + PATIENCE, open).await;
        let mut link = link.map_err(|_| Failure::Late)?.map_err(Failure::Lost)?;
        let created = timeout(PATIENCE, create_triggers(&mut link.client)).await;
        if let Err(error) = created.map_err(|_| Failure::Late)?.map_err(Failure::Lost) {
            let why = self.explain(&error);
            tracing::warn!(
                "the database does not tell what other programs change in the tables tokens and tags: {why}"
            );
        }
        Ok(Listening { link, heard })
    }
}

impl Listening {
    /// Waits for a change; none when the connection is lost.
    async fn next(&mut self) -> Option<Changed> {
        loop {
            if let Ok(heard) = timeout(SILENCE, self.heard.recv()).await {
                return heard;
            }
            let alive = self.link.client.batch_execute("");
            timeout(PATIENCE, alive).await.ok()?.ok()?;
        }
    }
}

fn changed(payload: &str) -> Changed {
    let hash = BASE64_STANDARD.decode(payload).ok();
    let hash = hash.and_then(|hash| hash.try_into().ok());
    hash.map_or(Changed::Any, Changed::Hash)
}

async fn create_triggers(client: &mut Client) -> Result<(), Error> {
    if !client
        .query_typed_one(LACKS_TRIGGERS, &[])
        .await?
        .get::<_, bool>(0)
    {
        return Ok(());
    }
    let creation = client.transaction().await?;
    // Other writers queue behind this while it waits for its lock.
    creation
        .batch_execute(&format!(
            "SET LOCAL lock_timeout = '1s'; SELECT pg_advisory_xact_lock({CREATION_LOCK})"
        ))
        .await?;
    // Another server may have been faster.
    if creation
        .query_typed_one(LACKS_TRIGGERS, &[])
        .await?
        .get::<_, bool>(0)
    {
        creation.batch_execute(TRIGGERS).await?;
    }
    creation.commit().await
}
