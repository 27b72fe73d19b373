/*
 * A plugin that uses every function of the host, and, told so by its setting `do`, each of them wrongly.
 *
 * -DGROWN: built with a header that has one more function than the host. -DNEWER: its structs are longer than the
 * host's. -DOLDER: its structs are as short as they may be.
 */
#include "postrider_plugin.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const postrider_host *host;

/* So much is left unread by the host behind each struct, or does not belong to it. */
#if defined(NEWER)
#define SIZE(type, optional) (sizeof(type) + sizeof(uint64_t))
#define ROOM(type, name) struct { type it; uint64_t newer; } name
#elif defined(OLDER)
#define SIZE(type, optional) offsetof(type, optional)
#define ROOM(type, name) struct { type it; } name
#else
#define SIZE(type, optional) sizeof(type)
#define ROOM(type, name) struct { type it; } name
#endif

#define MUST(expression)                          \
    do {                                          \
        postrider_status must_status = expression; \
        if (must_status != POSTRIDER_OK)          \
            return must_status;                   \
    } while (0)

struct every {
    postrider_log *log;
    char task[64];
};

static postrider_call *last_call;

static int does(const struct every *self, const char *task)
{
    return strcmp(self->task, task) == 0;
}

static postrider_status every_settings(postrider_call *call)
{
    static const char *const words[] = {"regexp", "regex=regexp", NULL};
    static const uint32_t kinds[] = {POSTRIDER_SETTING_TEXT, POSTRIDER_SETTING_PROGRAM, POSTRIDER_SETTING_PATH,
                                     POSTRIDER_SETTING_INTEGER, POSTRIDER_SETTING_BOOLEAN, POSTRIDER_SETTING_CHOICE,
                                     POSTRIDER_SETTING_OUTPUT_DIRECTORY, 99};
    static const char *const names[] = {"do", "program", "path", "integer", "boolean", "choice", "output", "newer"};
    size_t i;

    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        postrider_setting setting = {.size = sizeof setting, .name = names[i], .kind = kinds[i], .help = "Help."};
        if (kinds[i] == POSTRIDER_SETTING_CHOICE) {
            setting.choices = words;
            setting.default_value = "regexp";
        }
        MUST(host->answer_setting(call, &setting));
    }
    return POSTRIDER_OK;
}

static postrider_status log_pair(void *context, postrider_call *call, const char *name, const char *value)
{
    char line[256];

    (void)call;
    snprintf(line, sizeof line, "%s=%s", name, value);
    host->log(context, POSTRIDER_LOG_DEBUG, line);
    return POSTRIDER_OK;
}

static postrider_status every_create(postrider_call *call, postrider_log *log, void **adapter)
{
    struct every *self;
    const char *task = host->setting(call, "do");

    if (strcmp(task, "refuse") == 0)
        return host->fail(call, POSTRIDER_INVALID_SETTING, "do is refuse", "write something else");
    MUST(host->for_each_setting(call, log_pair, log));
    if (*host->setting(call, "unknown") != '\0')
        return POSTRIDER_FAILED;
    self = calloc(1, sizeof *self);
    if (self == NULL)
        return POSTRIDER_TEMPORARY;
    self->log = log;
    snprintf(self->task, sizeof self->task, "%s", task);
    *adapter = self;
    if (strcmp(task, "create wrongly") == 0)
        host->row(call, NULL);
    return POSTRIDER_OK;
}

static void every_destroy(void *adapter)
{
    struct every *self = adapter;

    host->log(self->log, POSTRIDER_LOG_WARN, "destroyed");
    free(self);
}

static postrider_status every_probe(void *adapter, postrider_call *call, const postrider_site *site)
{
    const struct every *self = adapter;
    const char *const argv[] = {"/bin/every", "--version", NULL};
    const char *const missing[] = {"/bin/missing", NULL};
    const postrider_output *output;
    const char *contents;
    char text[256];
    size_t length;

    MUST(host->run(call, argv, "input", &output));
    snprintf(text, sizeof text, "%d %s %s %d", output->status, output->output, output->errors,
             (int)(output->output_size + output->errors_size));
    MUST(host->answer_fact(call, "run", text));
    MUST(host->read_file(call, "/etc/every", &contents, &length));
    snprintf(text, sizeof text, "%s %d", contents, (int)length);
    MUST(host->answer_fact(call, "file", text));
    MUST(host->answer_fact(call, "exists", host->exists(call, "/etc/every") ? "yes" : "no"));
    MUST(host->answer_fact(call, "table_dir", site->table_dir));
    snprintf(text, sizeof text, "%s %s %s %u %u %s:%u %s", host->reachable_host(call, "[::]"), site->user,
             site->delimiter, site->lmtp_kind, site->lmtp_port, site->smtp_host, site->smtp_port,
             host->is_this_host(call, "localhost") && !host->is_this_host(call, "192.0.2.1") ? "here" : "?");
    MUST(host->answer_fact(call, "site", text));
#if defined(GROWN)
    MUST(host->answer_fact(call, "shiny", POSTRIDER_HAS(host, shiny) ? "yes" : "no"));
    MUST(host->answer_fact(call, "is_this_host", POSTRIDER_HAS(host, is_this_host) ? "yes" : "no"));
#endif
    if (host->run(call, missing, NULL, &output) == POSTRIDER_OK || output != NULL)
        return POSTRIDER_FAILED;
    if (!does(self, "overlook the missing program"))
        host->forgive(call);
    return POSTRIDER_OK;
}

/* ---- The plan ---- */

static postrider_status file_of_domain(void *context, postrider_call *call, const postrider_domain *domain)
{
    char path[300], text[600];
    int length;

    (void)context;
    snprintf(path, sizeof path, "domains/%s", domain->name);
    length = snprintf(text, sizeof text, "%s|%s|%s\n", domain->name, domain->alias, domain->routed);
    return host->file(call, path, 0640, (const uint8_t *)text, (size_t)length);
}

static postrider_status row_of_domain(void *context, postrider_call *call, const postrider_domain *domain)
{
    postrider_row row = {.size = sizeof row, .key = domain->name, .value = domain->routed, .column = 40};

    (void)context;
    return host->row(call, &row);
}

static postrider_status row_of_list(void *context, postrider_call *call, const postrider_list *list)
{
    char key[600], value[900];
    const char *list_id, *none;
    ROOM(postrider_row, row);

    (void)context;
    MUST(host->list_id(call, list->local, list->domain, &list_id));
    MUST(host->list_id(call, "nobody", list->domain, &none));
    if (list_id == NULL || strcmp(list_id, list->list_id) != 0 || none != NULL)
        return host->fail(call, POSTRIDER_FAILED, "the roster contradicts itself", NULL);
    snprintf(key, sizeof key, "%s@%s", list->local, list->domain);
    snprintf(value, sizeof value, "%s %s %s", list->alias, list->routed, list->list_id);
    memset(&row, 0xff, sizeof row); /* what stands behind the size must not be read */
    row.it.size = SIZE(postrider_row, column);
    row.it.key = key;
    row.it.value = value;
#if !defined(OLDER)
    row.it.column = 0;
    row.it.reserved = 0;
#endif
    return host->row(call, &row.it);
}

static postrider_status row_of_address(void *context, postrider_call *call, const postrider_address *address)
{
    char key[600], value[900];
    postrider_row row = {.size = sizeof row, .key = key, .value = value};

    (void)context;
    snprintf(key, sizeof key, "%s@%s", address->local, address->routed);
    if (address->list == NULL)
        return host->absent(call, key);
    snprintf(value, sizeof value, "%s %s %u", address->list->list_id,
             address->subaddress == NULL ? "-" : address->subaddress->name,
             address->subaddress == NULL ? 0 : address->subaddress->detail);
    return host->row(call, &row);
}

static postrider_status stop_at_second(void *context, postrider_call *call, const postrider_list *list)
{
    (void)call, (void)list;
    return ++*(int *)context == 2 ? 77 : POSTRIDER_OK;
}

static void *from_a_thread(void *call)
{
    const postrider_row row = {.size = sizeof row, .key = "thread", .value = "x"};

    host->row(call, &row);
    return NULL;
}

static postrider_status begin(postrider_call *call)
{
    const postrider_table table = {.size = sizeof table, .path = "t", .format = POSTRIDER_FORMAT_TEXT,
                                   .role = POSTRIDER_ROLE_ROUTING};

    return host->table(call, &table);
}

/* Wrong things, whose statuses are overlooked: the call must fail all the same. */
static postrider_status wrongly(const struct every *self, postrider_call *call)
{
    postrider_row row = {.size = sizeof row, .key = "k", .value = "v"};
    postrider_table table = {.size = sizeof table, .path = "t2", .format = POSTRIDER_FORMAT_TEXT,
                             .role = POSTRIDER_ROLE_ROUTING};
    const char *const argv[] = {"/bin/true", NULL};
    const char *const no_argv[] = {NULL};
    postrider_command command = {.size = sizeof command, .phase = POSTRIDER_PHASE_ACTIVATE, .argv = argv, .reason = "r"};
    pthread_t thread;
    void *end;
    int seen = 0;

    if (does(self, "row before table")) {
        host->row(call, &row);
        return POSTRIDER_OK;
    }
    begin(call);
    if (does(self, "fail"))
        return host->fail(call, POSTRIDER_TEMPORARY, "the plan\nfailed", "wait");
    if (does(self, "fail and forget"))
        host->fail(call, POSTRIDER_FAILED, "the plan failed", NULL);
    if (does(self, "fail silently"))
        return POSTRIDER_TEMPORARY;
    if (does(self, "fail with a strange number"))
        return 4711;
    if (does(self, "break"))
        return host->fail(call, POSTRIDER_BROKEN, "all is lost", NULL);
    if (does(self, "stop a visit"))
        return host->for_each_list(call, stop_at_second, &seen) == 77 && seen == 2 ? POSTRIDER_OK : POSTRIDER_FAILED;
    if (does(self, "row NULL"))
        host->row(call, NULL);
    if (does(self, "key NULL"))
        row.key = NULL;
    if (does(self, "key not UTF-8"))
        row.key = "caf\xe9";
    if (does(self, "size 0"))
        row.size = 0;
    if (does(self, "size too small"))
        row.size = offsetof(postrider_row, value);
    if (does(self, "size is nonsense"))
        row.size = (size_t)&row;
    if (does(self, "column"))
        row.column = 65536;
    if (does(self, "not aligned")) {
        char octets[2 * sizeof row] = {0};
        memcpy(octets + 1 + (size_t)(-(intptr_t)octets & 15), &row, sizeof row);
        host->row(call, (const postrider_row *)(const void *)(octets + 1 + (size_t)(-(intptr_t)octets & 15)));
    }
    if (does(self, "key without end")) {
        char *key = malloc(POSTRIDER_TEXT_MAX + 1);
        if (key == NULL)
            return POSTRIDER_TEMPORARY;
        memset(key, 'x', POSTRIDER_TEXT_MAX + 1);
        row.key = key;
        host->row(call, &row);
        free(key);
        return POSTRIDER_OK;
    }
    host->row(call, &row);
    if (does(self, "format"))
        table.format = 99;
    if (does(self, "role"))
        table.role = 0;
    if (does(self, "extent"))
        table.extent = 99;
    host->table(call, &table);
    if (does(self, "argv empty"))
        command.argv = no_argv;
    if (does(self, "argv NULL"))
        command.argv = NULL;
    if (does(self, "argv without end")) {
        const char **endless = malloc((POSTRIDER_ARRAY_MAX + 1) * sizeof *endless);
        size_t i;
        if (endless == NULL)
            return POSTRIDER_TEMPORARY;
        for (i = 0; i <= POSTRIDER_ARRAY_MAX; i++)
            endless[i] = "x";
        command.argv = endless;
        host->command(call, &command);
        free(endless);
        return POSTRIDER_OK;
    }
    if (does(self, "phase"))
        command.phase = 0;
    if (does(self, "need"))
        command.need = 99;
    host->command(call, &command);
    if (does(self, "contents NULL"))
        host->file(call, "f", 0644, NULL, 5);
    if (does(self, "visit NULL"))
        host->for_each_list(call, NULL, NULL);
    if (does(self, "another call's function")) {
        host->forgive(call);
        host->run(call, argv, NULL, NULL);
        host->forgive(call); /* only what it may forgive */
    }
    if (does(self, "another call's answer"))
        host->answer_ability(call, "verp");
    if (does(self, "another thread") && pthread_create(&thread, NULL, from_a_thread, call) == 0)
        pthread_join(thread, &end);
    if (does(self, "an old call") && last_call != NULL && last_call != call && host->row(last_call, &row) == POSTRIDER_OK)
        return host->fail(call, POSTRIDER_FAILED, "an old call works", NULL);
    last_call = call;
    return POSTRIDER_OK;
}

static postrider_status every_plan(void *adapter, postrider_call *call, const postrider_site *site,
                                   const postrider_change *change)
{
    const struct every *self = adapter;
    const char *const argv[] = {"/bin/compile", "{file}", NULL};
    const char *const tables[] = {"addresses", "lists", NULL};
    postrider_table table = {.size = sizeof table, .path = "domains", .format = POSTRIDER_FORMAT_DIRECTORY,
                             .format_text = "# ours", .role = POSTRIDER_ROLE_DOMAINS};
    postrider_command command = {.size = sizeof command, .phase = POSTRIDER_PHASE_COMPILE, .argv = argv,
                                 .tables = tables, .input = POSTRIDER_COMMAND_INPUT_TABLE, .reason = "compiled",
                                 .privilege = POSTRIDER_PRIVILEGE_ROOT, .need = POSTRIDER_NEED_ADVISED};
    char text[300];

    if (self->task[0] != '\0' && !does(self, "overlook the missing program"))
        return wrongly(self, call);

    MUST(host->table(call, &table));
    MUST(host->for_each_domain(call, row_of_domain, NULL));

    table.path = "lists";
    table.format = POSTRIDER_FORMAT_COMPILED_IN_PLACE;
    table.format_text = ".lmdb";
    table.role = POSTRIDER_ROLE_REWRITING;
    table.comment = "lists";
    MUST(host->table(call, &table));
    MUST(host->for_each_list(call, row_of_list, NULL));

    table.path = "addresses";
    table.format = POSTRIDER_FORMAT_SQLITE;
    table.format_text = NULL;
    table.role = POSTRIDER_ROLE_ACCEPTANCE;
    if (change->kind == POSTRIDER_CHANGE_LIST_ADDED || change->kind == POSTRIDER_CHANGE_LIST_REMOVED) {
        table.extent = POSTRIDER_EXTENT_CHANGES;
        MUST(host->table(call, &table));
        MUST(host->for_each_address_of(call, change->list, row_of_address, NULL));
        MUST(host->for_each_domain_routed_to(call, change->list->routed, file_of_domain, NULL));
    } else {
        MUST(host->table(call, &table));
        MUST(host->for_each_address(call, row_of_address, NULL));
        MUST(host->for_each_domain(call, file_of_domain, NULL));
    }
    if (change->domain != NULL)
        MUST(host->file(call, "changed", 0600, (const uint8_t *)change->domain->name, strlen(change->domain->name)));
    MUST(host->guard(call, site->table_dir, 01000));
    MUST(host->remove(call, "gone"));
    MUST(host->command(call, &command));
    command = (postrider_command){.size = sizeof command, .phase = POSTRIDER_PHASE_ACTIVATE, .argv = argv,
                                  .reason = host->fact(call, "file"), .settle_ms = 1500};
    if (command.reason == NULL)
        command.reason = "no facts";
    MUST(host->command(call, &command));
    command.settle_ms = POSTRIDER_SETTLE_AT_ONCE;
    MUST(host->command(call, &command));
    MUST(host->for_each_fact(call, log_pair, self->log));
    snprintf(text, sizeof text, "planned %u lists", (unsigned)host->list_count(call));
    host->log(self->log, POSTRIDER_LOG_INFO, text);
    return POSTRIDER_OK;
}

static postrider_status every_snippets(void *adapter, postrider_call *call, const postrider_site *site)
{
    postrider_snippet snippet = {.size = sizeof snippet, .kind = POSTRIDER_SNIPPET_LINES, .file = "/etc/every",
                                 .text = site->table_dir, .explanation = "Because."};

    (void)adapter;
    MUST(host->answer_snippet(call, &snippet));
    snippet.kind = POSTRIDER_SNIPPET_COMMANDS;
    snippet.file = NULL;
    snippet.undo = "true\n";
    return host->answer_snippet(call, &snippet);
}

static postrider_status every_check(void *adapter, postrider_call *call, const postrider_site *site)
{
    postrider_finding finding = {.size = sizeof finding, .severity = POSTRIDER_SEVERITY_OK, .subject = "every",
                                 .seen = host->exists(call, site->table_dir) ? "there" : "missing"};

    (void)adapter;
    MUST(host->answer_finding(call, &finding));
    finding.severity = 99;
    finding.expected = "expected";
    finding.advice = "advice";
    return host->answer_finding(call, &finding);
}

/* ---- Outgoing ---- */

static postrider_status no_create(postrider_call *call, postrider_log *log, void **adapter)
{
    (void)call, (void)log, (void)adapter;
    return POSTRIDER_OK;
}

static postrider_status abilities(void *adapter, postrider_call *call)
{
    (void)adapter;
    MUST(host->answer_ability(call, "something newer"));
    return host->answer_ability(call, "verp");
}

static postrider_status programs(void *adapter, postrider_call *call)
{
    (void)adapter;
    MUST(host->answer_program(call, "/bin/one"));
    return host->answer_program(call, "/bin/two");
}

static postrider_status inject(void *adapter, postrider_call *call, const postrider_envelope *envelope)
{
    char size[64];
    const char *const argv[] = {"/bin/one", envelope->sender, envelope->recipients[envelope->recipient_count - 1], NULL};
    const char *environment[] = {"A=1=2", size, NULL, NULL};
    postrider_injection injection = {.size = sizeof injection, .argv = argv, .environment = environment,
                                     .otherwise = POSTRIDER_OUTCOME_PERMANENT_FAILURE};
    postrider_input input = {.size = sizeof input, .descriptor = 3, .content = POSTRIDER_CONTENT_BYTES,
                             .bytes = (const uint8_t *)"a\0b", .byte_count = 3};
    postrider_exit exit_codes = {.size = sizeof exit_codes, .last = 9, .outcome = POSTRIDER_OUTCOME_DELIVERED};

    (void)adapter;
    snprintf(size, sizeof size, "SIZE=%u %s %u %u", (unsigned)envelope->message_size, envelope->verp_delimiter,
             envelope->eight_bit, envelope->smtp_utf8);
    if (strcmp(envelope->sender, "input-first") == 0)
        return host->answer_input(call, &input);
    if (strcmp(envelope->sender, "nothing") == 0)
        return POSTRIDER_OK;
    if (strcmp(envelope->sender, "variable") == 0)
        environment[2] = "=x";
    MUST(host->answer_injection(call, &injection));
    if (strcmp(envelope->sender, "twice") == 0)
        host->answer_injection(call, &injection);
    MUST(host->answer_input(call, &input));
    input.descriptor = 0;
    input.content = POSTRIDER_CONTENT_MESSAGE_CRLF;
    MUST(host->answer_input(call, &input));
    MUST(host->answer_exit(call, &exit_codes));
    exit_codes.first = 10;
    exit_codes.last = strcmp(envelope->sender, "exit") == 0 ? 256 : 255;
    exit_codes.outcome = POSTRIDER_OUTCOME_UNAVAILABLE;
    exit_codes.text = "4.0.0 away";
    return host->answer_exit(call, &exit_codes);
}

static postrider_status deliver(void *adapter, postrider_call *call, const postrider_batch *batch)
{
    char reply[200];
    size_t i;

    (void)adapter;
    for (i = 0; batch->recipients[i] != NULL; i++) {
        if (i == 0 && strcmp(batch->sender, "too few") == 0)
            continue;
        snprintf(reply, sizeof reply, "250 %s %d of %d %u %.*s", batch->recipients[i], (int)i, (int)batch->recipient_count,
                 batch->smtp_utf8, (int)batch->message_size, (const char *)batch->message);
        MUST(host->answer_result(call, i == 0 ? POSTRIDER_OUTCOME_DELIVERED : 99, reply));
    }
    return POSTRIDER_OK;
}

/* ---- The plugin ---- */

static const struct {
    postrider_incoming it;
    void (*newer)(void);
} every = {.it = {
    .size = SIZE(postrider_incoming, settings),
    .name = "All",
    .description = "All that there is",
    .create = every_create,
    .destroy = every_destroy,
    .plan = every_plan,
    /* Behind the size of an older plugin: not to be read. */
    .settings = every_settings,
    .probe = every_probe,
    .snippets = every_snippets,
    .check = every_check,
}};
static const struct {
    postrider_outgoing it;
    void (*newer)(void);
} own = {.it = {
    .size = SIZE(postrider_outgoing, deliver), /* an older one has `inject` only */
    .name = "All",
    .description = "By itself and by a program",
    .create = no_create,
    .abilities = abilities,
    .programs = programs,
    .inject = inject,
    .deliver = deliver,
}};
static const postrider_incoming *const incoming[] = {&every.it, NULL};
static const postrider_outgoing *const outgoing[] = {&own.it, NULL};
static const struct {
    postrider_plugin it;
    uint64_t newer;
} plugin = {.it = {
    .size = SIZE(postrider_plugin, built_with),
#if defined(NEWER)
    .interface = POSTRIDER_INTERFACE + 7,
#else
    .interface = POSTRIDER_INTERFACE,
#endif
    .name = "every",
    .version = "3.1",
    .incoming = incoming,
    .outgoing = outgoing,
    .built_with = POSTRIDER_BUILT_WITH,
}};

POSTRIDER_EXPORT const postrider_plugin *postrider_plugin_v1(const postrider_host *the_host)
{
    host = the_host;
    return &plugin.it;
}
