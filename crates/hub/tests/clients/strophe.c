/* A libstrophe client for the hub's tests: logs in with a verified certificate, answers
 * receipts, and says on standard output what it saw.
 *
 *   strophe JID PASSWORD HOST PORT starttls|direct CERT.PEM TO BODY
 *
 * Sends one message to TO, asks for a receipt, and closes when it has both a receipt
 * and a message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strophe.h>

static const char *to, *body;
static int receipt, message;

static void finish(xmpp_conn_t *conn)
{
    if (receipt && message)
        xmpp_disconnect(conn);
}

static int on_message(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *data)
{
    xmpp_ctx_t *ctx = xmpp_conn_get_context(conn);
    xmpp_stanza_t *received = xmpp_stanza_get_child_by_ns(stanza, "urn:xmpp:receipts");
    const char *from = xmpp_stanza_get_from(stanza);
    char *text = xmpp_message_get_body(stanza);
    (void)data;
    if (received && !strcmp(xmpp_stanza_get_name(received), "received")) {
        printf("receipt %s\n", xmpp_stanza_get_attribute(received, "id"));
        receipt = 1;
    }
    if (text) {
        printf("message %s %s\n", from, text);
        xmpp_free(ctx, text);
        message = 1;
        if (received && !strcmp(xmpp_stanza_get_name(received), "request")) {
            xmpp_stanza_t *reply = xmpp_message_new(ctx, NULL, from, "reply");
            xmpp_stanza_t *child = xmpp_stanza_new(ctx);
            xmpp_stanza_set_name(child, "received");
            xmpp_stanza_set_ns(child, "urn:xmpp:receipts");
            xmpp_stanza_set_id(child, xmpp_stanza_get_id(stanza));
            xmpp_stanza_add_child(reply, child);
            xmpp_stanza_release(child);
            xmpp_send(conn, reply);
            xmpp_stanza_release(reply);
        }
    }
    fflush(stdout);
    finish(conn);
    return 1;
}

static void on_connection(xmpp_conn_t *conn, xmpp_conn_event_t status, int error,
                          xmpp_stream_error_t *stream_error, void *data)
{
    xmpp_ctx_t *ctx = xmpp_conn_get_context(conn);
    (void)data;
    if (status == XMPP_CONN_CONNECT) {
        xmpp_stanza_t *presence = xmpp_presence_new(ctx), *chat, *request;
        printf("online %s %s\n", xmpp_conn_get_bound_jid(conn),
               xmpp_conn_is_secured(conn) ? "secured" : "plain");
        fflush(stdout);
        xmpp_handler_add(conn, on_message, NULL, "message", NULL, NULL);
        xmpp_send(conn, presence);
        xmpp_stanza_release(presence);
        chat = xmpp_message_new(ctx, "chat", to, "m1");
        xmpp_message_set_body(chat, body);
        request = xmpp_stanza_new(ctx);
        xmpp_stanza_set_name(request, "request");
        xmpp_stanza_set_ns(request, "urn:xmpp:receipts");
        xmpp_stanza_add_child(chat, request);
        xmpp_stanza_release(request);
        xmpp_send(conn, chat);
        xmpp_stanza_release(chat);
    } else {
        printf("disconnected %d %d\n", error, stream_error ? (int)stream_error->type : -1);
        fflush(stdout);
        xmpp_stop(ctx);
    }
}

int main(int argc, char **argv)
{
    xmpp_ctx_t *ctx;
    xmpp_conn_t *conn;
    int direct;
    if (argc != 9)
        return 2;
    to = argv[7];
    body = argv[8];
    direct = !strcmp(argv[5], "direct");
    xmpp_initialize();
    ctx = xmpp_ctx_new(NULL, xmpp_get_default_logger(XMPP_LEVEL_WARN));
    conn = xmpp_conn_new(ctx);
    xmpp_conn_set_flags(conn, direct ? XMPP_CONN_FLAG_LEGACY_SSL : XMPP_CONN_FLAG_MANDATORY_TLS);
    xmpp_conn_set_cafile(conn, argv[6]);
    xmpp_conn_set_jid(conn, argv[1]);
    xmpp_conn_set_pass(conn, argv[2]);
    if (xmpp_connect_client(conn, argv[3], (unsigned short)atoi(argv[4]), on_connection, NULL))
        return 3;
    xmpp_run(ctx);
    xmpp_conn_release(conn);
    xmpp_ctx_free(ctx);
    xmpp_shutdown();
    return receipt && message ? 0 : 1;
}
