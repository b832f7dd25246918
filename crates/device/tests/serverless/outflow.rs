//! What was measured without a server.
