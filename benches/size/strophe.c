/* What a small client is with libstrophe: connects over TLS, logs in, sends. It keeps
 * nothing, and does not know whether the recipient has what it sent.
 *
 *   smallest-strophe JID PASSWORD PORT CA.PEM TO
 */
#include <stdio.h>
#include <stdlib.h>
#include <strophe.h>

static const char *to;

static void on_connection(xmpp_conn_t *conn, xmpp_conn_event_t status, int error,
                          xmpp_stream_error_t *stream_error, void *ctx)
{
    (void)error;
    (void)stream_error;
    if (status == XMPP_CONN_CONNECT) {
        xmpp_stanza_t *message = xmpp_message_new((xmpp_ctx_t *)ctx, "chat", to, "1");
        xmpp_message_set_body(message, "21.5");
        printf("connected\n");
        xmpp_send(conn, message);
        xmpp_stanza_release(message);
        printf("sent\n");
        fflush(stdout);
    } else {
        xmpp_stop((xmpp_ctx_t *)ctx);
    }
}

int main(int argc, char **argv)
{
    xmpp_ctx_t *ctx;
    xmpp_conn_t *conn;
    if (argc != 6)
        return 2;
    to = argv[5];
    xmpp_initialize();
    ctx = xmpp_ctx_new(NULL, xmpp_get_default_logger(XMPP_LEVEL_ERROR));
    conn = xmpp_conn_new(ctx);
    xmpp_conn_set_flags(conn, XMPP_CONN_FLAG_MANDATORY_TLS);
    xmpp_conn_set_cafile(conn, argv[4]);
    xmpp_conn_set_jid(conn, argv[1]);
    xmpp_conn_set_pass(conn, argv[2]);
    if (xmpp_connect_client(conn, "127.0.0.1", (unsigned short)atoi(argv[3]), on_connection, ctx))
        return 3;
    xmpp_run(ctx);
    return 1;
}
