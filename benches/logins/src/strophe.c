/* Logs in with libstrophe, again and again, and says how long each login took.
 *
 *   strophe JID PASSWORD HOST PORT starttls|direct CERT.PEM COUNT
 *
 * A line for each login once there is a session ("ready MICROSECONDS"), and a last one
 * with the CPU time of all but the first ("cpu MICROSECONDS").
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strophe.h>
#include <time.h>

static int online;
static double begun;

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void on_connection(xmpp_conn_t *conn, xmpp_conn_event_t status, int error,
                          xmpp_stream_error_t *stream_error, void *ctx)
{
    (void)error;
    (void)stream_error;
    if (status == XMPP_CONN_CONNECT) {
        printf("ready %.0f\n", now(CLOCK_MONOTONIC) - begun);
        fflush(stdout);
        online++;
        xmpp_disconnect(conn);
    } else {
        xmpp_stop((xmpp_ctx_t *)ctx);
    }
}

int main(int argc, char **argv)
{
    int count, i;
    double cpu = 0;
    if (argc != 8)
        return 2;
    count = atoi(argv[7]);
    xmpp_initialize();
    for (i = 0; i < count; i++) {
        xmpp_ctx_t *ctx = xmpp_ctx_new(NULL, xmpp_get_default_logger(XMPP_LEVEL_ERROR));
        xmpp_conn_t *conn = xmpp_conn_new(ctx);
        int direct = !strcmp(argv[5], "direct");
        if (i == 1)
            cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        xmpp_conn_set_flags(conn, direct ? XMPP_CONN_FLAG_LEGACY_SSL : XMPP_CONN_FLAG_MANDATORY_TLS);
        xmpp_conn_set_cafile(conn, argv[6]);
        xmpp_conn_set_jid(conn, argv[1]);
        xmpp_conn_set_pass(conn, argv[2]);
        begun = now(CLOCK_MONOTONIC);
        if (xmpp_connect_client(conn, argv[3], (unsigned short)atoi(argv[4]), on_connection, ctx))
            return 3;
        xmpp_run(ctx);
        xmpp_conn_release(conn);
        xmpp_ctx_free(ctx);
    }
    printf("cpu %.0f\n", now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    xmpp_shutdown();
    return online == count ? 0 : 1;
}
