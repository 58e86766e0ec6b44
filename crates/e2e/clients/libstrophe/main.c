/* Drives libstrophe: Romeo and Juliet meet, talk, leave, come back.
 *
 * Where the server is comes from the environment. Writes `ok NAME` or `not ok NAME: WHY` per
 * check. Every wait is for a state, with a deadline; no check sleeps. */

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <strophe.h>

/* Seconds any one event may take, and milliseconds of one turn of the loop. */
enum { PATIENCE = 15, TURN = 10, INBOX = 64, LINE = 4096 };

static xmpp_ctx_t *context;
static const char *domain, *host, *password;
static unsigned short starttls_port, direct_tls_port;
static char why[LINE];

/* One session: its connection and the stanzas nobody has asked for yet. */
typedef struct {
    xmpp_conn_t *conn;
    bool online, offline;
    int socket;
    xmpp_stanza_t *inbox[INBOX];
    size_t count;
} session_t;

/* libstrophe hands out the socket here only. */
static session_t *connecting;

static int on_socket(xmpp_conn_t *conn, void *socket)
{
    (void)conn;
    connecting->socket = *(int *)socket;
    return 0;
}

static int on_stanza(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *data)
{
    session_t *session = data;
    (void)conn;
    if (session->count < INBOX)
        session->inbox[session->count++] = xmpp_stanza_clone(stanza);
    return 1;
}

static void on_connection(xmpp_conn_t *conn, xmpp_conn_event_t event, int error,
                          xmpp_stream_error_t *stream_error, void *data)
{
    session_t *session = data;
    (void)conn, (void)error, (void)stream_error;
    if (event == XMPP_CONN_CONNECT)
        session->online = true;
    else if (event == XMPP_CONN_DISCONNECT || event == XMPP_CONN_FAIL)
        session->offline = true;
}

static bool fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    return false;
}

/* Turns the loop until *flag, or for PATIENCE. */
static bool turn_until(const bool *flag, const char *what)
{
    time_t deadline = time(NULL) + PATIENCE;
    while (!*flag) {
        if (time(NULL) > deadline)
            return fail("%s did not come", what);
        xmpp_run_once(context, TURN);
    }
    return true;
}

static bool dial(session_t *session, const char *local, const char *resource, long flags,
                 const char *secret, xmpp_sm_state_t *sm)
{
    char jid[LINE];
    snprintf(jid, sizeof jid, "%s@%s/%s", local, domain, resource);
    session->conn = xmpp_conn_new(context);
    session->online = session->offline = false;
    xmpp_conn_set_flags(session->conn, flags | XMPP_CONN_FLAG_TRUST_TLS);
    xmpp_conn_set_jid(session->conn, jid);
    xmpp_conn_set_pass(session->conn, secret);
    xmpp_conn_set_sockopt_callback(session->conn, on_socket);
    /* One handler for all: libstrophe takes each function only once. */
    xmpp_handler_add(session->conn, on_stanza, NULL, NULL, NULL, session);
    if (sm != NULL && xmpp_conn_set_sm_state(session->conn, sm) != XMPP_EOK)
        return fail("libstrophe refuses its own stream-management state");
    connecting = session;
    bool direct = flags & XMPP_CONN_FLAG_LEGACY_SSL;
    unsigned short port = direct ? direct_tls_port : starttls_port;
    if (xmpp_connect_client(session->conn, host, port, on_connection, session) != XMPP_EOK)
        return fail("cannot connect");
    return true;
}

static bool login(session_t *session, const char *local, const char *resource, long flags)
{
    return dial(session, local, resource, flags, password, NULL)
        && turn_until(&session->online, "the session");
}

static bool hang_up(session_t *session)
{
    xmpp_disconnect(session->conn);
    if (!turn_until(&session->offline, "the end"))
        return false;
    xmpp_conn_release(session->conn);
    for (size_t i = 0; i < session->count; i++)
        xmpp_stanza_release(session->inbox[i]);
    memset(session, 0, sizeof *session);
    return true;
}

/* What a check waits for; fields that are NULL match anything. */
typedef struct {
    const char *name, *type, *from, *body, *id;
} wanted_t;

static bool same(const char *wanted, const char *actual)
{
    return wanted == NULL || (actual != NULL && strcmp(wanted, actual) == 0);
}

static bool matches(const wanted_t *wanted, xmpp_stanza_t *stanza)
{
    if (!same(wanted->name, xmpp_stanza_get_name(stanza))
        || !same(wanted->type, xmpp_stanza_get_type(stanza))
        || !same(wanted->from, xmpp_stanza_get_from(stanza))
        || !same(wanted->id, xmpp_stanza_get_id(stanza)))
        return false;
    if (wanted->body == NULL)
        return true;
    char *body = xmpp_message_get_body(stanza);
    bool found = same(wanted->body, body);
    if (body != NULL)
        xmpp_free(context, body);
    return found;
}

/* The first stanza that is wanted; the caller releases it. */
static xmpp_stanza_t *receive(session_t *session, wanted_t wanted)
{
    time_t deadline = time(NULL) + PATIENCE;
    for (;;) {
        for (size_t i = 0; i < session->count; i++) {
            xmpp_stanza_t *stanza = session->inbox[i];
            if (!matches(&wanted, stanza))
                continue;
            session->count--;
            memmove(&session->inbox[i], &session->inbox[i + 1],
                    (session->count - i) * sizeof stanza);
            return stanza;
        }
        if (time(NULL) > deadline) {
            fail("no %s of type %s from %s with body %s and id %s came",
                 wanted.name, wanted.type ? wanted.type : "any", wanted.from ? wanted.from : "any",
                 wanted.body ? wanted.body : "any", wanted.id ? wanted.id : "any");
            return NULL;
        }
        xmpp_run_once(context, TURN);
    }
}

static bool arrives(session_t *session, wanted_t wanted)
{
    xmpp_stanza_t *stanza = receive(session, wanted);
    if (stanza == NULL)
        return false;
    xmpp_stanza_release(stanza);
    return true;
}

static const char *address(char *buffer, const char *local, const char *resource)
{
    const char *slash = *resource ? "/" : "";
    snprintf(buffer, LINE, "%s@%s%s%s", local, domain, slash, resource);
    return buffer;
}

static bool available(session_t *session, const char *local, const char *resource)
{
    char self[LINE];
    xmpp_send_raw_string(session->conn, "<presence/>");
    wanted_t own = { .name = "presence", .from = address(self, local, resource) };
    return arrives(session, own);
}

static void chat(session_t *session, const char *to, const char *body)
{
    xmpp_stanza_t *message = xmpp_message_new(context, "chat", to, NULL);
    xmpp_message_set_body(message, body);
    xmpp_send(session->conn, message);
    xmpp_stanza_release(message);
}

static bool starttls(void)
{
    session_t romeo = { 0 };
    return login(&romeo, "romeo", "orchard", XMPP_CONN_FLAG_MANDATORY_TLS)
        && (xmpp_conn_is_secured(romeo.conn) || fail("TLS is off"))
        && hang_up(&romeo);
}

static bool direct_tls(void)
{
    session_t romeo = { 0 };
    return login(&romeo, "romeo", "orchard", XMPP_CONN_FLAG_LEGACY_SSL) && hang_up(&romeo);
}

static bool wrong_password(void)
{
    session_t romeo = { 0 };
    if (!dial(&romeo, "romeo", "orchard", XMPP_CONN_FLAG_MANDATORY_TLS, "rosaline", NULL)
        || !turn_until(&romeo.offline, "the refusal"))
        return false;
    xmpp_conn_release(romeo.conn);
    return !romeo.online || fail("it was let in");
}

/* Asks for the roster, which makes a resource interested in changes (RFC 6121 §2.2). */
static bool interested(session_t *session)
{
    xmpp_send_raw_string(session->conn,
                         "<iq type='get' id='r1'><query xmlns='jabber:iq:roster'/></iq>");
    return arrives(session, (wanted_t) { .name = "iq", .type = "result", .id = "r1" });
}

static bool roster(void)
{
    session_t romeo = { 0 };
    char nurse[LINE];
    address(nurse, "nurse", "");
    if (!login(&romeo, "romeo", "orchard", XMPP_CONN_FLAG_MANDATORY_TLS) || !interested(&romeo))
        return false;
    xmpp_send_raw_string(romeo.conn,
        "<iq type='set' id='r2'><query xmlns='jabber:iq:roster'><item jid='%s'/></query></iq>", nurse);
    if (!arrives(&romeo, (wanted_t) { .name = "iq", .type = "set" })
        || !arrives(&romeo, (wanted_t) { .name = "iq", .type = "result", .id = "r2" }))
        return false;
    xmpp_send_raw_string(romeo.conn,
        "<iq type='set' id='r3'><query xmlns='jabber:iq:roster'>"
        "<item jid='%s' subscription='remove'/></query></iq>", nurse);
    return arrives(&romeo, (wanted_t) { .name = "iq", .type = "result", .id = "r3" })
        && hang_up(&romeo);
}

static bool subscription_and_presence(void)
{
    session_t romeo = { 0 }, juliet = { 0 };
    char bare_romeo[LINE], bare_juliet[LINE], full_juliet[LINE];
    address(bare_romeo, "romeo", "");
    address(bare_juliet, "juliet", "");
    address(full_juliet, "juliet", "balcony");
    if (!login(&romeo, "romeo", "orchard", XMPP_CONN_FLAG_MANDATORY_TLS)
        || !login(&juliet, "juliet", "balcony", XMPP_CONN_FLAG_MANDATORY_TLS)
        || !interested(&romeo) || !interested(&juliet)
        || !available(&romeo, "romeo", "orchard")
        || !available(&juliet, "juliet", "balcony"))
        return false;
    xmpp_send_raw_string(romeo.conn, "<presence type='subscribe' to='%s'/>", bare_juliet);
    wanted_t asked = { .name = "presence", .type = "subscribe", .from = bare_romeo };
    if (!arrives(&juliet, asked))
        return false;
    xmpp_send_raw_string(juliet.conn, "<presence type='subscribed' to='%s'/>", bare_romeo);
    wanted_t granted = { .name = "presence", .type = "subscribed", .from = bare_juliet };
    wanted_t here = { .name = "presence", .from = full_juliet };
    wanted_t gone = { .name = "presence", .type = "unavailable", .from = full_juliet };
    return arrives(&romeo, granted) && arrives(&romeo, here)
        && hang_up(&juliet) && arrives(&romeo, gone) && hang_up(&romeo);
}

static bool chat_both_ways(void)
{
    session_t romeo = { 0 }, juliet = { 0 };
    char full_romeo[LINE], full_juliet[LINE];
    address(full_romeo, "romeo", "orchard");
    address(full_juliet, "juliet", "balcony");
    if (!login(&romeo, "romeo", "orchard", XMPP_CONN_FLAG_MANDATORY_TLS)
        || !login(&juliet, "juliet", "balcony", XMPP_CONN_FLAG_LEGACY_SSL))
        return false;
    wanted_t heard = { .name = "message", .from = full_romeo, .body = "It is the east \xe2\x98\x80" };
    wanted_t answer = { .name = "message", .from = full_juliet, .body = "Ay <me> & \"thee\"" };
    chat(&romeo, full_juliet, heard.body);
    if (!arrives(&juliet, heard))
        return false;
    chat(&juliet, full_romeo, answer.body);
    return arrives(&romeo, answer) && hang_up(&romeo) && hang_up(&juliet);
}

static bool carbons(void)
{
    session_t romeo = { 0 }, phone = { 0 }, juliet = { 0 };
    char full_romeo[LINE], bare_romeo[LINE];
    address(full_romeo, "romeo", "orchard");
    address(bare_romeo, "romeo", "");
    if (!login(&romeo, "romeo", "orchard", XMPP_CONN_FLAG_MANDATORY_TLS)
        || !login(&phone, "romeo", "phone", XMPP_CONN_FLAG_MANDATORY_TLS)
        || !login(&juliet, "juliet", "balcony", XMPP_CONN_FLAG_MANDATORY_TLS)
        || !available(&romeo, "romeo", "orchard")
        || !available(&phone, "romeo", "phone"))
        return false;
    xmpp_send_raw_string(phone.conn,
                         "<iq type='set' id='c1'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
    if (!arrives(&phone, (wanted_t) { .name = "iq", .type = "result", .id = "c1" }))
        return false;
    chat(&juliet, full_romeo, "To the orchard");
    if (!arrives(&romeo, (wanted_t) { .name = "message", .body = "To the orchard" }))
        return false;
    xmpp_stanza_t *copy = receive(&phone, (wanted_t) { .name = "message", .from = bare_romeo });
    if (copy == NULL)
        return false;
    bool wrapped = xmpp_stanza_get_child_by_name_and_ns(copy, "received", "urn:xmpp:carbons:2") != NULL;
    xmpp_stanza_release(copy);
    return (wrapped || fail("the copy is no carbon"))
        && hang_up(&romeo) && hang_up(&phone) && hang_up(&juliet);
}

static bool offline(void)
{
    session_t romeo = { 0 }, nurse = { 0 };
    char bare_nurse[LINE];
    address(bare_nurse, "nurse", "");
    if (!login(&romeo, "romeo", "orchard", XMPP_CONN_FLAG_MANDATORY_TLS))
        return false;
    chat(&romeo, bare_nurse, "Commend me");
    if (!hang_up(&romeo) || !login(&nurse, "nurse", "chamber", XMPP_CONN_FLAG_MANDATORY_TLS))
        return false;
    xmpp_send_raw_string(nurse.conn, "<presence/>");
    xmpp_stanza_t *kept = receive(&nurse, (wanted_t) { .name = "message", .body = "Commend me" });
    if (kept == NULL)
        return false;
    bool delayed = xmpp_stanza_get_child_by_ns(kept, "urn:xmpp:delay") != NULL;
    xmpp_stanza_release(kept);
    return (delayed || fail("it has no delay")) && hang_up(&nurse);
}

static bool resume(void)
{
    session_t romeo = { 0 }, juliet = { 0 };
    char full_romeo[LINE];
    address(full_romeo, "romeo", "orchard");
    if (!login(&romeo, "romeo", "orchard", XMPP_CONN_FLAG_MANDATORY_TLS)
        || !login(&juliet, "juliet", "balcony", XMPP_CONN_FLAG_MANDATORY_TLS)
        || !available(&romeo, "romeo", "orchard"))
        return false;
    /* The network breaks: nothing can be sent or read any more. */
    shutdown(romeo.socket, SHUT_RDWR);
    if (!turn_until(&romeo.offline, "the loss"))
        return false;
    xmpp_sm_state_t *state = xmpp_conn_get_sm_state(romeo.conn);
    if (state == NULL)
        return fail("stream management was off");
    xmpp_conn_release(romeo.conn);
    chat(&juliet, full_romeo, "While you were out");
    if (!dial(&romeo, "romeo", "orchard", XMPP_CONN_FLAG_MANDATORY_TLS, password, state)
        || !turn_until(&romeo.online, "the resumption")
        || !arrives(&romeo, (wanted_t) { .name = "message", .body = "While you were out" }))
        return false;
    return hang_up(&romeo) && hang_up(&juliet);
}

int main(void)
{
    static const struct {
        const char *name;
        bool (*check)(void);
    } checks[] = {
        { "starttls", starttls },
        { "direct-tls", direct_tls },
        { "wrong-password", wrong_password },
        { "roster", roster },
        { "subscription-and-presence", subscription_and_presence },
        { "chat-both-ways", chat_both_ways },
        { "carbons", carbons },
        { "offline", offline },
        { "resume", resume },
    };
    domain = getenv("XMPP_DOMAIN");
    host = getenv("XMPP_HOST");
    password = getenv("XMPP_PASSWORD");
    starttls_port = (unsigned short)atoi(getenv("XMPP_PORT"));
    direct_tls_port = (unsigned short)atoi(getenv("XMPP_TLS_PORT"));
    /* Writing to a broken connection is an error and not the end. */
    signal(SIGPIPE, SIG_IGN);
    xmpp_initialize();
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        /* Debugging needs what libstrophe sees: STROPHE_LOG=1. */
        bool loud = getenv("STROPHE_LOG") != NULL;
        context = xmpp_ctx_new(NULL, loud ? xmpp_get_default_logger(XMPP_LEVEL_DEBUG) : NULL);
        if (checks[i].check())
            printf("ok %s\n", checks[i].name);
        else
            printf("not ok %s: %s\n", checks[i].name, why);
        fflush(stdout);
        /* Whatever a failed check left behind goes with its context. */
    }
    xmpp_shutdown();
    return 0;
}
