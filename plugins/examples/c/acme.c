/*
 * The plugin `acme` for the mailing-list server Postrider: a whole plugin in C, to begin with.
 *
 * It is for an MTA that nobody has. That MTA looks every address up in one text table, which a program compiles:
 *
 *     ants@lists.example.com  lmtp:[127.0.0.1]:8024
 *
 * and it takes mail from a program that works as sendmail does. So there are two adapters:
 *
 *     acme.LMTP   incoming: tells the MTA which addresses are mailing lists
 *     acme.Pipe   outgoing: hands mail to the MTA
 *
 * How to make it yours: replace the word `acme` by the name of your MTA, everywhere and in the name of this file (only
 * a-z, 0-9 and _), then change what is special about it. `make` builds it, `postrider plugin check` tests it, the
 * README beside it says how it is installed. What every function may and must do stands in postrider_plugin.h.
 *
 * The pattern of all functions: ask and tell the host by functions of `host`; when one of them fails, free what is
 * yours and return its status.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "postrider_plugin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The host's functions. They are the same for the whole life of the process, so one variable holds them. */
static const postrider_host *host;

/* ---- Helpers ---- */

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
/* printf into memory of its own, to be freed. NULL when there is no memory. */
static char *format(const char *pattern, ...)
{
    va_list arguments, again;
    char *text = NULL;
    int length;

    va_start(arguments, pattern);
    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, pattern, arguments);
    if (length >= 0 && (text = malloc((size_t)length + 1)) != NULL)
        vsnprintf(text, (size_t)length + 1, pattern, again);
    va_end(again);
    va_end(arguments);
    return text;
}

/* Says that there is no memory. Trying again later may help. */
static postrider_status no_memory(postrider_call *call)
{
    return host->fail(call, POSTRIDER_TEMPORARY, "acme: out of memory", NULL);
}

/* ---- acme.LMTP: which addresses are lists ---- */

/* The name of the table, relative to the directory in which Postrider publishes (postrider_site.table_dir). */
#define TABLE "acme_lists"

/*
 * An adapter. Several threads may use it at a time: what is written only in `create` needs no lock, all else does.
 */
struct acme_lmtp {
    postrider_log *log;
    char *makemap;   /* setting: the program that compiles the table */
    char *directory; /* setting: where the configuration of the MTA lies */
};

/* The keys that may stand in the section [acme] of the file that `[mta] configuration` names. */
static postrider_status acme_lmtp_settings(postrider_call *call)
{
    const postrider_setting makemap = {
        .size = sizeof makemap,
        .name = "makemap",
        .kind = POSTRIDER_SETTING_PROGRAM,
        .default_value = "/usr/sbin/acme-makemap",
        .help = "The program that compiles a table of the acme mail server.",
    };
    const postrider_setting directory = {
        .size = sizeof directory,
        .name = "directory",
        .kind = POSTRIDER_SETTING_PATH,
        .default_value = "/etc/acme",
        .help = "The directory with the configuration of the acme mail server.",
    };
    postrider_status status = host->answer_setting(call, &makemap);

    if (status == POSTRIDER_OK)
        status = host->answer_setting(call, &directory);
    return status;
}

static void acme_lmtp_destroy(void *adapter)
{
    struct acme_lmtp *self = adapter;

    free(self->makemap);
    free(self->directory);
    free(self);
}

static postrider_status acme_lmtp_create(postrider_call *call, postrider_log *log, void **adapter)
{
    struct acme_lmtp *self = calloc(1, sizeof *self);

    if (self == NULL)
        return no_memory(call);
    self->log = log;
    /* The values are lent until this call returns, so they are copied. The host has checked them already. */
    self->makemap = format("%s", host->setting(call, "makemap"));
    self->directory = format("%s", host->setting(call, "directory"));
    if (self->makemap == NULL || self->directory == NULL) {
        acme_lmtp_destroy(self);
        return no_memory(call);
    }
    *adapter = self;
    return POSTRIDER_OK;
}

/* What is found out here is a fact: the host keeps it, and shows it to `plan`, `snippets` and `check`. */
static postrider_status acme_lmtp_probe(void *adapter, postrider_call *call, const postrider_site *site)
{
    const struct acme_lmtp *self = adapter;
    const char *const argv[] = {self->makemap, "-v", NULL};
    const postrider_output *output;
    char *version;
    postrider_status status;

    (void)site;
    if (host->run(call, argv, NULL, &output) != POSTRIDER_OK) {
        /* An MTA that is not installed is no reason to stop: the tables may be for another machine. */
        host->forgive(call);
        host->log(self->log, POSTRIDER_LOG_INFO, "acme-makemap cannot be run; its version is not known");
        return POSTRIDER_OK;
    }
    if (output->status != 0)
        return POSTRIDER_OK;
    /* The first line of what it printed. */
    version = format("%.*s", (int)strcspn(output->output, "\r\n"), output->output);
    if (version == NULL)
        return no_memory(call);
    status = host->answer_fact(call, "version", version);
    free(version);
    return status;
}

/* Where the MTA brings list mail, in its own words; to be freed. NULL: the status says why not. */
static char *acme_target(postrider_call *call, const postrider_site *site, postrider_status *status)
{
    char *target = NULL;

    *status = POSTRIDER_OK;
    if (site->lmtp_kind == POSTRIDER_LMTP_TCP) {
        /* What is configured may be `localhost` or `::`; what to connect to is something else. */
        const char *reachable = host->reachable_host(call, site->lmtp_host);
        if (reachable != NULL)
            target = format("lmtp:[%s]:%u", reachable, (unsigned)site->lmtp_port);
    } else if (site->lmtp_kind == POSTRIDER_LMTP_UNIX) {
        target = format("lmtp:unix:%s", site->lmtp_host);
    } else {
        *status = host->fail(call, POSTRIDER_UNSUPPORTED, "acme reaches LMTP servers by TCP or a Unix socket only",
                             "set lmtp_host and lmtp_port in [mta]");
        return NULL;
    }
    if (target == NULL)
        *status = no_memory(call);
    return target;
}

/* What acme_lmtp_row() needs besides the address. */
struct acme_rows {
    const char *target;
};

/* One row for one address. Called by the host, in the middle of `plan`. */
static postrider_status acme_lmtp_row(void *context, postrider_call *call, const postrider_address *address)
{
    const struct acme_rows *rows = context;
    char *key = format("%s@%s", address->local, address->routed);
    postrider_row row = {.size = sizeof row, .key = key, .value = rows->target};
    postrider_status status;

    if (key == NULL)
        return no_memory(call);
    status = host->row(call, &row); /* copies the texts */
    free(key);
    return status;
}

/*
 * What must be on disk. This adapter plans everything, whatever the change is: its table is compiled as a whole anyway.
 * With SQLite or a directory it could plan POSTRIDER_EXTENT_CHANGES, with for_each_address_of().
 */
static postrider_status acme_lmtp_plan(void *adapter, postrider_call *call, const postrider_site *site,
                                       const postrider_change *change)
{
    const struct acme_lmtp *self = adapter;
    const postrider_table table = {
        .size = sizeof table,
        .path = TABLE,
        .format = POSTRIDER_FORMAT_COMPILED_RENAME,
        .format_text = ".db",
        .role = POSTRIDER_ROLE_ACCEPTANCE,
        .comment = "The addresses of all mailing lists.",
    };
    const char *const argv[] = {self->makemap, "{file}", NULL};
    const char *const tables[] = {TABLE, NULL};
    const postrider_command compile = {
        .size = sizeof compile,
        .phase = POSTRIDER_PHASE_COMPILE,
        .argv = argv,
        .tables = tables,
        .reason = "so that acme can read the table",
    };
    postrider_status status;
    char *target = acme_target(call, site, &status);
    struct acme_rows rows = {target};

    (void)change;
    if (target == NULL)
        return status;
    status = host->table(call, &table);
    if (status == POSTRIDER_OK)
        status = host->for_each_address(call, acme_lmtp_row, &rows);
    if (status == POSTRIDER_OK)
        status = host->command(call, &compile);
    free(target);
    return status;
}

/* The one line that the administrator puts into the MTA's own configuration. */
static char *acme_line(const postrider_site *site)
{
    return format("lists = table:%s/" TABLE "\n", site->table_dir);
}

/* What the administrator does once; `postrider hookup` shows it. */
static postrider_status acme_lmtp_snippets(void *adapter, postrider_call *call, const postrider_site *site)
{
    const struct acme_lmtp *self = adapter;
    char *file = format("%s/acme.conf", self->directory);
    char *line = acme_line(site);
    postrider_snippet snippet = {
        .size = sizeof snippet,
        .kind = POSTRIDER_SNIPPET_LINES,
        .file = file,
        .text = line,
        .explanation = "The acme mail server asks our table which addresses are lists.",
    };
    postrider_status status = file != NULL && line != NULL ? host->answer_snippet(call, &snippet) : no_memory(call);

    free(file);
    free(line);
    return status;
}

/* Whether the administrator has done it; `postrider hookup --check` shows it. */
static postrider_status acme_lmtp_check(void *adapter, postrider_call *call, const postrider_site *site)
{
    const struct acme_lmtp *self = adapter;
    char *file = format("%s/acme.conf", self->directory);
    char *line = acme_line(site);
    postrider_finding finding = {.size = sizeof finding, .subject = file, .expected = line};
    const char *contents;
    postrider_status status;

    if (file == NULL || line == NULL) {
        free(file);
        free(line);
        return no_memory(call);
    }
    line[strlen(line) - 1] = '\0'; /* a finding is one line: without its end */
    if (host->read_file(call, file, &contents, NULL) != POSTRIDER_OK) {
        host->forgive(call); /* it is the answer */
        finding.severity = POSTRIDER_SEVERITY_ERROR;
        finding.seen = "the file cannot be read";
        finding.advice = "install the acme mail server, or correct the setting `directory` of [acme]";
    } else if (strstr(contents, line) == NULL) {
        finding.severity = POSTRIDER_SEVERITY_ERROR;
        finding.seen = "no such line";
        finding.advice = "add the line that `postrider hookup` shows";
    } else {
        finding.severity = POSTRIDER_SEVERITY_OK;
        finding.seen = line;
    }
    status = host->answer_finding(call, &finding);
    free(file);
    free(line);
    return status;
}

/* ---- acme.Pipe: mail to the MTA ---- */

struct acme_pipe {
    char *program; /* setting: what takes the mail */
};

static postrider_status acme_pipe_settings(postrider_call *call)
{
    const postrider_setting program = {
        .size = sizeof program,
        .name = "sendmail",
        .kind = POSTRIDER_SETTING_PROGRAM,
        .default_value = "/usr/sbin/acme-sendmail",
        .help = "The program that takes mail for the acme mail server.",
    };

    return host->answer_setting(call, &program);
}

static void acme_pipe_destroy(void *adapter)
{
    struct acme_pipe *self = adapter;

    free(self->program);
    free(self);
}

static postrider_status acme_pipe_create(postrider_call *call, postrider_log *log, void **adapter)
{
    struct acme_pipe *self = calloc(1, sizeof *self);

    (void)log;
    if (self == NULL)
        return no_memory(call);
    self->program = format("%s", host->setting(call, "sendmail"));
    if (self->program == NULL) {
        acme_pipe_destroy(self);
        return no_memory(call);
    }
    *adapter = self;
    return POSTRIDER_OK;
}

/* The host runs no program but these, and sees beforehand whether they are there. */
static postrider_status acme_pipe_programs(void *adapter, postrider_call *call)
{
    const struct acme_pipe *self = adapter;

    return host->answer_program(call, self->program);
}

/* Which program the host shall run for one message: `acme-sendmail -f SENDER -- RECIPIENT...`. */
static postrider_status acme_pipe_inject(void *adapter, postrider_call *call, const postrider_envelope *envelope)
{
    const struct acme_pipe *self = adapter;
    const postrider_input message = {
        .size = sizeof message,
        .descriptor = 0,
        .content = POSTRIDER_CONTENT_MESSAGE_LF,
    };
    /* Exit codes as in sysexits.h. Of several that fit the first counts; all others: try again later. */
    const postrider_exit exits[] = {
        {.size = sizeof exits[0], .first = 0, .last = 0, .outcome = POSTRIDER_OUTCOME_DELIVERED},
        {.size = sizeof exits[0], .first = 75, .last = 75, .outcome = POSTRIDER_OUTCOME_TEMPORARY_FAILURE,
         .text = "4.3.0 acme could not take it now"},
        {.size = sizeof exits[0], .first = 64, .last = 78, .outcome = POSTRIDER_OUTCOME_PERMANENT_FAILURE,
         .text = "5.0.0 acme refused it"},
    };
    enum { BEFORE = 4 };
    const char **argv = calloc(BEFORE + envelope->recipient_count + 1, sizeof *argv); /* NULL at its end */
    postrider_injection injection = {
        .size = sizeof injection,
        .argv = argv,
        .otherwise = POSTRIDER_OUTCOME_TEMPORARY_FAILURE,
    };
    postrider_status status;
    size_t i;

    if (argv == NULL)
        return no_memory(call);
    argv[0] = self->program;
    argv[1] = "-f";
    argv[2] = envelope->sender;
    argv[3] = "--";
    for (i = 0; i < envelope->recipient_count; i++)
        argv[BEFORE + i] = envelope->recipients[i];
    status = host->answer_injection(call, &injection);
    free(argv);
    if (status == POSTRIDER_OK)
        status = host->answer_input(call, &message);
    for (i = 0; status == POSTRIDER_OK && i < sizeof exits / sizeof exits[0]; i++)
        status = host->answer_exit(call, &exits[i]);
    return status;
}

/* ---- The plugin ---- */

static const postrider_incoming acme_lmtp = {
    .size = sizeof acme_lmtp,
    .name = "LMTP",
    .description = "Lists as a table of the acme mail server, mail by LMTP",
    .create = acme_lmtp_create,
    .destroy = acme_lmtp_destroy,
    .plan = acme_lmtp_plan,
    .settings = acme_lmtp_settings,
    .probe = acme_lmtp_probe,
    .snippets = acme_lmtp_snippets,
    .check = acme_lmtp_check,
};

static const postrider_outgoing acme_pipe = {
    .size = sizeof acme_pipe,
    .name = "Pipe",
    .description = "Mail through acme-sendmail",
    .create = acme_pipe_create,
    .destroy = acme_pipe_destroy,
    .settings = acme_pipe_settings,
    .programs = acme_pipe_programs,
    .inject = acme_pipe_inject,
};

static const postrider_incoming *const acme_incoming[] = {&acme_lmtp, NULL};
static const postrider_outgoing *const acme_outgoing[] = {&acme_pipe, NULL};

static const postrider_plugin acme_plugin = {
    .size = sizeof acme_plugin,
    .interface = POSTRIDER_INTERFACE,
    .name = "acme",
    .version = "0.1.0",
    .incoming = acme_incoming,
    .outgoing = acme_outgoing,
    .built_with = POSTRIDER_BUILT_WITH,
};

/* The one symbol that the host looks for. */
POSTRIDER_EXPORT const postrider_plugin *postrider_plugin_v1(const postrider_host *the_host)
{
    host = the_host;
    return &acme_plugin;
}
