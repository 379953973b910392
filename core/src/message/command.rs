//! Owns the names of what a message may ask for.

/// What a message asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Command {
    /// Proves that the connection is alive.
    Ping,
    /// Adds a subscription.
    Subscribe,
    /// Removes a subscription.
    Unsubscribe,
    /// Sends a message to every session with a matching subscription.
    Publish,
    /// Lists the session's own subscriptions.
    List,
    /// Lists the tags of all subscriptions.
    ListAll,
    /// Counts connections and subscribers.
    Who,
    /// Lists the nodes of a cluster.
    Nodes,
    /// Presents a token.
    Auth,
    /// Admin: creates a token.
    Register,
    /// Admin: removes a token.
    Unregister,
    /// Admin: adds tags to a token.
    Set,
    /// Admin: removes tags from a token.
    Unset,
    /// Admin: lists a token's tags.
    Tags,
    /// Admin: removes a token, and closes the sessions that go by it.
    End,
    /// Admin: lists the tokens that are registered, a part at a time.
    Tokens,
    /// None of the above: a custom command, or nothing this broker knows.
    #[default]
    Unknown,
}

/// The commands by their names on the wire.
const COMMANDS: [(&str, Command); 16] = [
    ("publish", Command::Publish),
    ("ping", Command::Ping),
    ("subscribe", Command::Subscribe),
    ("unsubscribe", Command::Unsubscribe),
    ("list", Command::List),
    ("listall", Command::ListAll),
    ("who", Command::Who),
    ("nodes", Command::Nodes),
    ("auth", Command::Auth),
    ("register", Command::Register),
    ("unregister", Command::Unregister),
    ("set", Command::Set),
    ("unset", Command::Unset),
    ("tags", Command::Tags),
    ("tokens", Command::Tokens),
    ("end", Command::End),
];

impl Command {
    pub(crate) fn from_name(name: &[u8]) -> Self {
        COMMANDS
            .iter()
            .find(|(known, _)| known.as_bytes() == name)
            .map_or(Self::Unknown, |&(_, command)| command)
    }

    /// Returns the name on the wire, or `None` for [`Command::Unknown`].
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let known = COMMANDS.iter().find(|&&(_, command)| command == self);
        known.map(|&(name, _)| name)
    }

    /// Whether the command is one of those that need the server's token.
    #[must_use]
    pub fn is_admin(self) -> bool {
        matches!(
            self,
            Self::Register
                | Self::Unregister
                | Self::Set
                | Self::Unset
                | Self::Tags
                | Self::Tokens
                | Self::End
        )
    }
}
