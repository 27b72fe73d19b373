/*
 * postrider_plugin.h - plugins in C for the mailing-list server Postrider
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A plugin is a shared library, libpostrider_NAME.so, with one or more adapters. An incoming
 * adapter teaches a mail server (MTA) which addresses are mailing lists; an outgoing adapter
 * hands mail to it. A plugin exports one function, postrider_plugin_v1(), which gets the host's
 * functions and returns a description of the plugin.
 *
 * An adapter plans and the host acts: an adapter writes no file and runs no program. It asks
 * the host's tools, and tells the host what it wants done. plugins/examples/c in the source of
 * Postrider is a whole plugin to begin with.
 *
 * SIZES. Every struct begins with its size, set by whoever makes it: `postrider_row row =
 *    {.size = sizeof row, ...};` in C, `postrider_row row = {}; row.size = sizeof row;` in C++.
 *    Set everything that you do not use to zero.
 *
 * TEXTS are UTF-8 with a NUL at the end, at most POSTRIDER_TEXT_MAX octets. They are never NULL
 *    unless it is said here. A text that breaks these rules makes the function fail that got
 *    it, and with it the call.
 *
 * OWNERSHIP. Nobody frees what the other side made. What the host gives is lent: to a visit
 *    function until that returns, all else until the call returns. What you give to a function
 *    of the host is copied before it returns. Only the description of the plugin, and the log
 *    of an adapter until it is destroyed, may be kept.
 *
 * ERRORS. Functions return a postrider_status. When a function of the host fails, return its
 *    status, and the host tells the administrator why. When you find something yourself:
 *    `return host->fail(call, POSTRIDER_FAILED, "what happened, to what", "what to do");`.
 *    The host remembers the first failure of its own functions: a call in which one failed has
 *    failed, even if it returns POSTRIDER_OK (see postrider_host.forgive for the one
 *    exception).
 *
 * THREADS. Functions of one adapter may be called from several threads at a time, and different
 *    ones at that: what they change needs a lock. `create` comes before, `destroy` after all
 *    others. A postrider_call belongs to the thread that was called; a postrider_log to all.
 *    Calls are plain and synchronous, and have a time limit.
 *
 * MANNERS. A plugin must not end or crash the process, nor change what belongs to it:
 *    environment, working directory, umask, signal handlers, standard input and output. No
 *    longjmp() and no C++ exception may leave a function of the plugin.
 *
 * STABILITY. This is version 1 of the interface. Within version 1 nothing is changed or
 *    removed: fields are only added at the end of structs, functions at the end of
 *    postrider_host, numbers to sets of constants. So a plugin that was built with this header
 *    works with every later host of version 1, and a plugin that was built with a later header
 *    works with this host; it can see by POSTRIDER_HAS() what the host has not got yet. What
 *    cannot be done in this way will be version 2, with another symbol, postrider_plugin_v2().
 */


#ifndef POSTRIDER_PLUGIN_H
#define POSTRIDER_PLUGIN_H

/* Made by cbindgen from plugin-api/src/c; changes are lost. */

#include <stddef.h>
#include <stdint.h>

/* Stands before the definition of postrider_plugin_v1(): visible also with -fvisibility=hidden. */
#if defined(__GNUC__)
#define POSTRIDER_EXPORT __attribute__((visibility("default")))
#else
#define POSTRIDER_EXPORT
#endif

/* The compiler, for postrider_plugin.built_with. */
#if defined(__clang__)
#define POSTRIDER_BUILT_WITH __VERSION__
#elif defined(__GNUC__)
#define POSTRIDER_BUILT_WITH "GCC " __VERSION__
#else
#define POSTRIDER_BUILT_WITH "a C compiler"
#endif

/*
 * Whether a struct of the host's, which may be older than this header, has this field:
 * `if (POSTRIDER_HAS(host, is_this_host)) ...`. Needed for what is marked "since 1.x", x > 0.
 */
#define POSTRIDER_HAS(pointer, field) \
    ((size_t)((const char *)(&(pointer)->field + 1) - (const char *)(pointer)) <= (pointer)->size)

// The interface that this header describes: version 1 in the upper half, 0 in the lower: 1.0.
#define POSTRIDER_INTERFACE 65536

// How many octets a text may have, without the NUL at its end: 16 MiB.
#define POSTRIDER_TEXT_MAX 16777216

// How many entries an array of texts may have, without the NULL at its end.
#define POSTRIDER_ARRAY_MAX 65536

// What became of a call, postrider_status:
//
// It worked.
#define POSTRIDER_OK 0

// It did not work; trying again without a change is useless. A number that is none of these means the same.
#define POSTRIDER_FAILED 1

// It did not work this time; trying again later may help.
#define POSTRIDER_TEMPORARY 2

// The other side does not offer this.
#define POSTRIDER_UNSUPPORTED 3

// A setting has a value that the adapter cannot use.
#define POSTRIDER_INVALID_SETTING 4

// The adapter found itself in a state in which it cannot go on. The host destroys it and makes a new one for the
// next call; calls that are under way finish with the old one.
#define POSTRIDER_BROKEN 5

// How important a line of the log is, postrider_host.log:
//
// For developers.
#define POSTRIDER_LOG_DEBUG 1

// Normal. A number that is none of these means the same.
#define POSTRIDER_LOG_INFO 2

// Should be looked at.
#define POSTRIDER_LOG_WARN 3

// Something failed.
#define POSTRIDER_LOG_ERROR 4

// What the value of a setting looks like, postrider_setting.kind:
//
// Any text, may be empty.
#define POSTRIDER_SETTING_TEXT 1

// The absolute path of a program that exists or not.
#define POSTRIDER_SETTING_PROGRAM 2

// An absolute path.
#define POSTRIDER_SETTING_PATH 3

// A whole number.
#define POSTRIDER_SETTING_INTEGER 4

// `yes` or `no`.
#define POSTRIDER_SETTING_BOOLEAN 5

// One of the words in `choices`.
#define POSTRIDER_SETTING_CHOICE 6

// The absolute path of a directory into which plans may write besides the table directory.
#define POSTRIDER_SETTING_OUTPUT_DIRECTORY 7

// How the MTA reaches the list server, postrider_site.lmtp_kind:
//
// `lmtp_host` is a host name or an IP address (IPv6 without brackets), `lmtp_port` a TCP port.
#define POSTRIDER_LMTP_TCP 1

// `lmtp_host` is the absolute path of a Unix socket.
#define POSTRIDER_LMTP_UNIX 2

// What happened, postrider_change.kind; for a number that is none of these plan everything. Of changes that came
// together each is planned by a call of its own; the roster is that after all of them (if others come meanwhile, a
// newer one), and the plans may be published as one. So a plan says what is true now of the list or domain that it is
// told of, and never guesses what was there before: the only list of a domain need not be its first one.
//
// Anything may have changed: plan everything.
#define POSTRIDER_CHANGE_EVERYTHING 1

// `list` is new.
#define POSTRIDER_CHANGE_LIST_ADDED 2

// `list` is gone; it is no longer in the roster.
#define POSTRIDER_CHANGE_LIST_REMOVED 3

// `domain` is new.
#define POSTRIDER_CHANGE_DOMAIN_ADDED 4

// `domain` is gone; it is no longer in the roster.
#define POSTRIDER_CHANGE_DOMAIN_REMOVED 5

// How a table is stored, and with that, how it is published, postrider_table.format:
//
// A text file, published by rename.
#define POSTRIDER_FORMAT_TEXT 1

// A text file and a compiled file beside it, whose name has `format_text` (`.db`) behind it: compiled from a staged
// copy, then both are renamed.
#define POSTRIDER_FORMAT_COMPILED_RENAME 2

// A text file and a compiled file that running daemons hold open and that must therefore never be replaced by
// another inode (LMDB): compiled on trial from a staged copy, then compiled in place. `format_text` as above.
#define POSTRIDER_FORMAT_COMPILED_IN_PLACE 3

// An SQLite database with the table `map(key TEXT PRIMARY KEY COLLATE NOCASE, value TEXT NOT NULL)`, written by
// the host in place, in one transaction.
#define POSTRIDER_FORMAT_SQLITE 4

// A directory with one file for each row: the key is its name, the value its contents (it may have several lines;
// a last line end is added if there is none). `format_text` is the first line of every file, which says whose it
// is. Files that do not begin with it are somebody else's: they are left alone, and a row that would replace one
// is an error. Empty or NULL: the directory and all that is in it belong to the host.
#define POSTRIDER_FORMAT_DIRECTORY 5

// What a table is for, postrider_table.role. When an address is added the host publishes in this order, when it
// is removed in the reverse, so that no address is refused meanwhile:
//
// Where mail for a domain or an address goes.
#define POSTRIDER_ROLE_ROUTING 1

// Rewriting of addresses, for instance from an alias domain.
#define POSTRIDER_ROLE_REWRITING 2

// For which domains mail is accepted.
#define POSTRIDER_ROLE_DOMAINS 3

// Which addresses are accepted.
#define POSTRIDER_ROLE_ACCEPTANCE 4

// Which rows follow, postrider_table.extent:
//
// All rows of the table follow: what else is in it goes. 0 means the same.
#define POSTRIDER_EXTENT_WHOLE 1

// Only what the change may have touched follows: rows that must be there (`row`) and keys that must not
// (`absent`). Only for the formats SQLITE and DIRECTORY, and never for POSTRIDER_CHANGE_EVERYTHING.
#define POSTRIDER_EXTENT_CHANGES 2

// When a command runs, postrider_command.phase:
//
// On the staged files, before anything is published. Failure changes nothing.
#define POSTRIDER_PHASE_CHECK 1

// Makes the compiled form of a table from its staged text. Failure changes nothing.
#define POSTRIDER_PHASE_COMPILE 2

// After publication: reload and the like. Failure brings the previous files back.
#define POSTRIDER_PHASE_ACTIVATE 3

// Whether a command must run, postrider_command.need:
//
// Without it the change is not (wholly) seen by the MTA. 0 means the same.
#define POSTRIDER_NEED_REQUIRED 1

// Without it the change takes effect too, only later.
#define POSTRIDER_NEED_ADVISED 2

// Whose rights a command needs, postrider_command.privilege:
//
// With the rights of the user that owns the host's data. 0 means the same.
#define POSTRIDER_PRIVILEGE_OWNER 1

// As the superuser. When the host is not the superuser the command is printed instead.
#define POSTRIDER_PRIVILEGE_ROOT 2

// What a command reads, postrider_command.input:
//
// The command reads nothing. 0 means the same.
#define POSTRIDER_COMMAND_INPUT_NOTHING 1

// The command reads the (staged) text file of its table; only in the phases CHECK and COMPILE.
#define POSTRIDER_COMMAND_INPUT_TABLE 2

// When an MTA notices published tables, postrider_command.settle_ms:
//
// The MTA never notices published tables by itself.
#define POSTRIDER_SETTLE_NEVER 0

// The MTA notices published tables at once.
#define POSTRIDER_SETTLE_AT_ONCE UINT64_MAX

// What a step is, postrider_snippet.kind:
//
// Lines at the end of a configuration file that has others too.
#define POSTRIDER_SNIPPET_LINES 1

// Commands for `sh -e`, to be run as the superuser.
#define POSTRIDER_SNIPPET_COMMANDS 2

// A whole file that nobody else writes to.
#define POSTRIDER_SNIPPET_FILE 3

// How bad a finding is, postrider_finding.severity; a number that is none of these is taken as a warning:
//
// As it should be.
#define POSTRIDER_SEVERITY_OK 1

// Good to know.
#define POSTRIDER_SEVERITY_INFO 2

// Works, but something should be changed.
#define POSTRIDER_SEVERITY_WARNING 3

// Mail will not flow.
#define POSTRIDER_SEVERITY_ERROR 4

// What became of a recipient; a number that is none of these is taken as a temporary failure, so that nothing is
// lost:
//
// The MTA has taken responsibility.
#define POSTRIDER_OUTCOME_DELIVERED 1

// Try again later.
#define POSTRIDER_OUTCOME_TEMPORARY_FAILURE 2

// Never try again.
#define POSTRIDER_OUTCOME_PERMANENT_FAILURE 3

// The MTA itself cannot take mail now (disk full, not configured): nobody is judged, and all mail waits until the
// MTA is asked again. Not for what may be about one message or one recipient: that would hold up all others. In
// the results of `deliver` it means this only if every recipient has it.
#define POSTRIDER_OUTCOME_UNAVAILABLE 4

// What a program reads, postrider_input.content:
//
// The message, lines end in CRLF, not dot-stuffed.
#define POSTRIDER_CONTENT_MESSAGE_CRLF 1

// The message, lines end in LF, not dot-stuffed.
#define POSTRIDER_CONTENT_MESSAGE_LF 2

// The octets `bytes`.
#define POSTRIDER_CONTENT_BYTES 3

// One call of a function of an adapter. It belongs to the thread that was called, and ends when the function
// returns: used later or from another thread it does nothing and is an error.
typedef struct postrider_call postrider_call;

// Where an adapter writes its log. It lives as long as the adapter, and every thread may use it.
typedef struct postrider_log postrider_log;

// What became of a call: POSTRIDER_OK or one of the numbers behind it.
typedef uint32_t postrider_status;

// A sub-address that every list has, `LIST-NAME@DOMAIN`.
typedef struct postrider_subaddress {
    // Its size, set by the side that made it.
    size_t size;
    // What follows the dash, for instance `bounces`.
    const char *name;
    // 1: a detail may follow, `LIST-bounces+DETAIL@DOMAIN` (VERP, confirmation tokens). 0: not.
    uint32_t detail;
    // 0.
    uint32_t reserved;
} postrider_subaddress;

// The installation.
typedef struct postrider_site {
    // Its size, set by the side that made it.
    size_t size;
    // Where the MTA reaches the list server's LMTP service, as configured: see `lmtp_kind`, and
    // postrider_host.reachable_host for what to make of a host.
    const char *lmtp_host;
    // POSTRIDER_LMTP_...; a plugin that does not know the number must fail.
    uint32_t lmtp_kind;
    // TCP port of the LMTP service; 0 for a Unix socket.
    uint32_t lmtp_port;
    // Absolute path of the directory in which the files of a plan are published.
    const char *table_dir;
    // The user whose rights the host has when it publishes plans.
    const char *user;
    // What separates an address from its detail, usually `+`.
    const char *delimiter;
    // The sub-addresses of every list; NULL behind the last.
    const struct postrider_subaddress *const *subaddresses;
    // Where outgoing mail goes: host name or IP address.
    const char *smtp_host;
    // Where outgoing mail goes: TCP port.
    uint32_t smtp_port;
    // 0.
    uint32_t reserved;
} postrider_site;

// A mailing list.
typedef struct postrider_list {
    // Its size, set by the side that made it.
    size_t size;
    // The local part of the posting address, lower case, only `[-_.0-9a-z]`.
    const char *local;
    // The domain of the posting address, see postrider_domain.name.
    const char *domain;
    // See postrider_domain.alias.
    const char *alias;
    // See postrider_domain.routed.
    const char *routed;
    // The list-id (RFC 2919), without brackets.
    const char *list_id;
} postrider_list;

// A mail domain that has (or may have) lists.
typedef struct postrider_domain {
    // Its size, set by the side that made it.
    size_t size;
    // The domain of the list addresses, lower case, A-labels (RFC 5890).
    const char *name;
    // The domain that the MTA really routes to the list server when it differs (`alias_domain`); else empty.
    const char *alias;
    // The alias if there is one, else the name: the domain that the MTA routes to the list server.
    const char *routed;
} postrider_domain;

// What happened to the lists since the adapter was last asked. An adapter may always plan everything; the change
// only allows it to save work.
typedef struct postrider_change {
    // Its size, set by the side that made it.
    size_t size;
    // POSTRIDER_CHANGE_...
    uint32_t kind;
    // 0.
    uint32_t reserved;
    // The list, for LIST_ADDED and LIST_REMOVED; else NULL.
    const struct postrider_list *list;
    // The domain, for DOMAIN_ADDED and DOMAIN_REMOVED; else NULL.
    const struct postrider_domain *domain;
} postrider_change;

// An adapter that teaches an MTA which addresses are mailing lists. Functions that are not offered are NULL.
typedef struct postrider_incoming {
    // Its size, set by the side that made it.
    size_t size;
    // The name by which `postrider.cfg` calls it, only `[A-Za-z0-9_]`: `incoming: PLUGIN.NAME`.
    const char *name;
    // One line for people.
    const char *description;
    // Required. Makes an adapter with the settings of this call and stores it at `adapter`, where NULL stands before.
    // Must not touch anything outside. `log` may be kept until `destroy`. The host makes several if it likes. After a
    // failure `destroy` is not called.
    postrider_status (*create)(struct postrider_call *call,
                               struct postrider_log *log,
                               void **adapter);
    // Frees an adapter; no call of it is under way. NULL: there is nothing to free.
    void (*destroy)(void *adapter);
    // Required. Says what must be on disk for these lists, and which commands must run.
    postrider_status (*plan)(void *adapter,
                             struct postrider_call *call,
                             const struct postrider_site *site,
                             const struct postrider_change *change);
    // Declares the settings that `create` reads. Called without an adapter. NULL: none.
    postrider_status (*settings)(struct postrider_call *call);
    // Asks the MTA of this machine what must be known to plan: programs, versions, defaults. NULL: nothing.
    postrider_status (*probe)(void *adapter,
                              struct postrider_call *call,
                              const struct postrider_site *site);
    // What the administrator puts into the MTA's own configuration, in order. NULL: nothing.
    postrider_status (*snippets)(void *adapter,
                                 struct postrider_call *call,
                                 const struct postrider_site *site);
    // Asks the MTA whether it really knows these lists. NULL: the adapter has no checks.
    postrider_status (*check)(void *adapter,
                              struct postrider_call *call,
                              const struct postrider_site *site);
} postrider_incoming;

// Whom a message is from and for.
typedef struct postrider_envelope {
    // Its size, set by the side that made it.
    size_t size;
    // Envelope sender (RFC 5321 reverse-path without brackets); empty for `<>`.
    const char *sender;
    // If not empty, each recipient shall get the message from a sender of its own (VERP): `LOCAL` + this delimiter +
    // `RECIPIENT-LOCAL=RECIPIENT-DOMAIN` + `@DOMAIN`, where `LOCAL@DOMAIN` is `sender`. Only adapters with the
    // ability `verp` ever see it.
    const char *verp_delimiter;
    // Envelope recipients, at least one; NULL behind the last.
    const char *const *recipients;
    // How many.
    size_t recipient_count;
    // Octets of the message, with CRLF as line ends.
    uint64_t message_size;
    // 1: the body has octets above 127 (RFC 6152). 0: not.
    uint32_t eight_bit;
    // 1: an address of this envelope is not ASCII, so that only servers that announce SMTPUTF8 can take it (RFC 6531).
    // 0: all are.
    uint32_t smtp_utf8;
} postrider_envelope;

// A message for some recipients.
typedef struct postrider_batch {
    // Its size, set by the side that made it.
    size_t size;
    // Envelope sender (RFC 5321 reverse-path without brackets); empty for `<>`.
    const char *sender;
    // Envelope recipients, at least one; NULL behind the last.
    const char *const *recipients;
    // How many.
    size_t recipient_count;
    // The message, lines end in CRLF, not dot-stuffed. No NUL stands behind it.
    const uint8_t *message;
    // Octets of the message.
    size_t message_size;
    // As in postrider_envelope.
    uint32_t smtp_utf8;
    // 0.
    uint32_t reserved;
} postrider_batch;

// An adapter that hands mail to an MTA, either through a program that the host runs (`inject`) or by itself
// (`deliver`): one of the two is required. Functions that are not offered are NULL.
typedef struct postrider_outgoing {
    // Its size, set by the side that made it.
    size_t size;
    // The name by which `postrider.cfg` calls it, only `[A-Za-z0-9_]`: `outgoing: PLUGIN.NAME`.
    const char *name;
    // One line for people.
    const char *description;
    // Required. As for postrider_incoming.
    postrider_status (*create)(struct postrider_call *call,
                               struct postrider_log *log,
                               void **adapter);
    // As for postrider_incoming.
    void (*destroy)(void *adapter);
    // As for postrider_incoming.
    postrider_status (*settings)(struct postrider_call *call);
    // What it can do. NULL: nothing special.
    postrider_status (*abilities)(void *adapter, struct postrider_call *call);
    // Names the programs that injections run, and those that these run in turn. The host runs no others, and refuses
    // to start when one of them is set-user-id or set-group-id and the host runs where that has no effect
    // (`no_new_privs`, prctl(2)). The first must be there; the others count only if they are. NULL: none.
    postrider_status (*programs)(void *adapter, struct postrider_call *call);
    // Says what to run for a message. POSTRIDER_UNSUPPORTED: it delivers by itself. Any other failure, for instance
    // more recipients than a program can take: it is asked again for each half of the recipients, and a single one
    // is tried again later.
    postrider_status (*inject)(void *adapter,
                               struct postrider_call *call,
                               const struct postrider_envelope *envelope);
    // Delivers one message, and answers for each recipient. A failure of the call means that the whole batch failed and
    // is tried again later.
    postrider_status (*deliver)(void *adapter,
                                struct postrider_call *call,
                                const struct postrider_batch *batch);
} postrider_outgoing;

// A plugin. It and all that it points to live as long as the process, and never change.
typedef struct postrider_plugin {
    // Its size, set by the side that made it.
    size_t size;
    // POSTRIDER_INTERFACE of the header that it was built with.
    uint32_t interface;
    // 0.
    uint32_t reserved;
    // The plugin's name, only `[a-z0-9_]`. The library must be `libpostrider_NAME.so`, and the settings of its adapters
    // are in the section `[NAME]`.
    const char *name;
    // The plugin's own version; the host only shows it.
    const char *version;
    // Its incoming adapters, NULL behind the last. NULL: none.
    const struct postrider_incoming *const *incoming;
    // Its outgoing adapters, NULL behind the last. NULL: none.
    const struct postrider_outgoing *const *outgoing;
    // POSTRIDER_BUILT_WITH: the compiler. NULL: unknown.
    const char *built_with;
} postrider_plugin;

// Sees one name and its value. Any return value but POSTRIDER_OK stops the visit, which then returns that value.
typedef postrider_status (*postrider_visit_pair)(void *context,
                                                 struct postrider_call *call,
                                                 const char *name,
                                                 const char *value);

// Sees one domain. Any return value but POSTRIDER_OK stops the visit, which then returns that value.
typedef postrider_status (*postrider_visit_domain)(void *context,
                                                   struct postrider_call *call,
                                                   const struct postrider_domain *domain);

// Sees one list. Any return value but POSTRIDER_OK stops the visit, which then returns that value.
typedef postrider_status (*postrider_visit_list)(void *context,
                                                 struct postrider_call *call,
                                                 const struct postrider_list *list);

// An address, `LOCAL@ROUTED`, and whose it is.
typedef struct postrider_address {
    // Its size, set by the side that made it.
    size_t size;
    // The local part, without a detail: `ants` or `ants-bounces`.
    const char *local;
    // The domain, as the MTA routes it.
    const char *routed;
    // Whose address it is. NULL: no list has it (only from for_each_address_of).
    const struct postrider_list *list;
    // Which of the list's sub-addresses; NULL for the posting address, and when no list has it.
    const struct postrider_subaddress *subaddress;
} postrider_address;

// Sees one address. Any return value but POSTRIDER_OK stops the visit, which then returns that value.
typedef postrider_status (*postrider_visit_address)(void *context,
                                                    struct postrider_call *call,
                                                    const struct postrider_address *address);

// A table to be generated. For a change other than EVERYTHING a plan may leave out tables that stay as they are.
typedef struct postrider_table {
    // Its size, set by the side that made it.
    size_t size;
    // The file or directory, relative to postrider_site.table_dir, no `..`; or an absolute path that is, or is
    // inside, the value of a setting of the kind OUTPUT_DIRECTORY.
    const char *path;
    // POSTRIDER_FORMAT_...
    uint32_t format;
    // POSTRIDER_ROLE_...
    uint32_t role;
    // See POSTRIDER_FORMAT_...: the suffix of a compiled file with its dot, the mark of a directory. NULL: empty.
    const char *format_text;
    // Comment lines for the head of a text file, without `#`. NULL: none.
    const char *comment;
    // POSTRIDER_EXTENT_..., 0 for WHOLE.
    uint32_t extent;
    // 0.
    uint32_t reserved;
} postrider_table;

// One row of a table.
typedef struct postrider_row {
    // Its size, set by the side that made it.
    size_t size;
    // The key, as the MTA looks it up. Keys of one table must differ.
    const char *key;
    // The value.
    const char *value;
    // In a text file the column (from 0, at most 65535) in which the value starts, for the reader's eye. At least
    // one blank is always written. No other effect.
    uint32_t column;
    // 0.
    uint32_t reserved;
} postrider_row;

// A program to be run by the host: no shell, a clean environment, a time limit.
typedef struct postrider_command {
    // Its size, set by the side that made it.
    size_t size;
    // POSTRIDER_PHASE_...: when it runs.
    uint32_t phase;
    // POSTRIDER_NEED_..., 0 for REQUIRED.
    uint32_t need;
    // Program (absolute path) and arguments, NULL behind the last. In the phases CHECK and COMPILE the text `{file}`
    // inside an argument stands for the (staged) file of the table that the command belongs to; with
    // POSTRIDER_COMMAND_INPUT_TABLE it need not be there.
    const char *const *argv;
    // Why, in a few words, shown to the administrator: `so that Postfix reads the new table`.
    const char *reason;
    // postrider_table.path of the tables that it belongs to, NULL behind the last. CHECK and COMPILE run once for
    // each of them that changes. ACTIVATE runs once, right after the last of them is published and before any
    // later table is, and only if one of them changed. NULL or empty, with ACTIVATE: after everything, if anything
    // changed.
    const char *const *tables;
    // POSTRIDER_COMMAND_INPUT_..., 0 for NOTHING.
    uint32_t input;
    // POSTRIDER_PRIVILEGE_..., 0 for OWNER.
    uint32_t privilege;
    // If the command cannot be run here: how many milliseconds the MTA needs to notice the published tables by
    // itself; the host then waits that long before it publishes later tables. Or POSTRIDER_SETTLE_...
    uint64_t settle_ms;
} postrider_command;

// What a program did.
typedef struct postrider_output {
    // Its size, set by the side that made it.
    size_t size;
    // Standard output; octets that are not UTF-8 are replaced. A NUL stands behind it, and more may stand in it.
    const char *output;
    // Octets of `output`, without the NUL behind it.
    size_t output_size;
    // Standard error, in the same way.
    const char *errors;
    // Octets of `errors`, without the NUL behind it.
    size_t errors_size;
    // Exit status; -1 when it was killed by a signal or by the time limit.
    int32_t status;
    // 0.
    uint32_t reserved;
} postrider_output;

// One key that an adapter reads. The section of the file is the plugin's name.
typedef struct postrider_setting {
    // Its size, set by the side that made it.
    size_t size;
    // The key.
    const char *name;
    // What it does, for the administrator; whole sentences.
    const char *help;
    // POSTRIDER_SETTING_...; the host checks values before the adapter sees them.
    uint32_t kind;
    // 0.
    uint32_t reserved;
    // The value when the key is absent. NULL: empty.
    const char *default_value;
    // The words of POSTRIDER_SETTING_CHOICE, NULL behind the last. Each entry is the word and, after `=`, the word
    // that it is an older name of: `regex=regexp`. NULL: none.
    const char *const *choices;
} postrider_setting;

// One step of hooking up an MTA. The steps are done in the order given, and taken back in the reverse.
typedef struct postrider_snippet {
    // Its size, set by the side that made it.
    size_t size;
    // POSTRIDER_SNIPPET_...
    uint32_t kind;
    // 0.
    uint32_t reserved;
    // The lines or commands themselves, ready to be copied.
    const char *text;
    // Why, in one or two sentences.
    const char *explanation;
    // The file (absolute path) that gets the lines or is written; NULL or empty for commands.
    const char *file;
    // Commands for `sh -e` that take this step back, as the superuser. NULL or empty: for lines, to take them out
    // again; for a file, to remove it; for commands, that there is nothing to take back.
    const char *undo;
} postrider_snippet;

// One result of a check.
typedef struct postrider_finding {
    // Its size, set by the side that made it.
    size_t size;
    // POSTRIDER_SEVERITY_...
    uint32_t severity;
    // 0.
    uint32_t reserved;
    // What was looked at, for instance `main.cf: relay_domains`.
    const char *subject;
    // What was seen there.
    const char *seen;
    // What was expected. NULL: empty.
    const char *expected;
    // What the administrator should do. NULL: nothing.
    const char *advice;
} postrider_finding;

// A program that the host runs to hand over one message: no shell, no descriptors but those named, a time limit.
typedef struct postrider_injection {
    // Its size, set by the side that made it.
    size_t size;
    // Program (absolute path, one of those that `programs` names) and arguments, NULL behind the last.
    const char *const *argv;
    // Environment, `NAME=VALUE`, NULL behind the last; the host adds `PATH`. NULL: nothing else.
    const char *const *environment;
    // What an exit code means of which no postrider_exit speaks: POSTRIDER_OUTCOME_..., 0 for TEMPORARY_FAILURE;
    // DELIVERED is not allowed. Being killed is always a temporary failure, and so is not ending within the time
    // limit.
    uint32_t otherwise;
    // 0.
    uint32_t reserved;
} postrider_injection;

// What the program of an injection reads from one descriptor: a file that is complete before the program starts,
// open for reading at its beginning.
typedef struct postrider_input {
    // Its size, set by the side that made it.
    size_t size;
    // The descriptor, 0 to 9, but not 2. Standard output is caught unless it is named here; standard error always is.
    uint32_t descriptor;
    // POSTRIDER_CONTENT_...
    uint32_t content;
    // The octets of POSTRIDER_CONTENT_BYTES; else NULL.
    const uint8_t *bytes;
    // How many.
    size_t byte_count;
} postrider_input;

// What exit codes of the program of an injection mean; of several that fit the first counts. The outcome is that
// of every recipient, except that a permanent failure of several recipients judges none: each half of them is
// handed over by itself, down to one. A program must therefore not fail for good when it has taken the message for
// some of its recipients.
typedef struct postrider_exit {
    // Its size, set by the side that made it.
    size_t size;
    // The first exit code, 0 to 255.
    uint32_t first;
    // The last exit code, 0 to 255.
    uint32_t last;
    // What became of the message: POSTRIDER_OUTCOME_...
    uint32_t outcome;
    // 0.
    uint32_t reserved;
    // In words, for a program that printed nothing, with an enhanced status code (RFC 3463) in front: `5.3.4
    // message too large`. NULL: empty.
    const char *text;
} postrider_exit;

// The host's functions: one table for the whole life of the process. Functions that a newer interface adds stand
// behind these; see POSTRIDER_HAS.
//
// What a function of the host shows or gives is lent: to a visit until that returns, everything else until the
// call returns. What a plugin gives is copied before the function returns.
//
// Which function may be used in which call stands beside each group; elsewhere it fails.
typedef struct postrider_host {
    // Its size, set by the side that made it.
    size_t size;
    // The interface that the host speaks: POSTRIDER_INTERFACE of its time.
    uint32_t interface;
    // 0.
    uint32_t reserved;
    // The host's own version, for instance `0.1.0`; for logs only.
    const char *version;
    // Writes one line to the log. Any thread may do so. POSTRIDER_LOG_... is its importance.
    void (*log)(struct postrider_log *log, uint32_t level, const char *message);
    // Any call: says why it fails. Returns `status`, so that one writes `return host->fail(call, ...)`.
    //
    // `message` says what happened and to what (file, command, address), in one line; `hint` what the administrator
    // can do, NULL for nothing. The first words of a call count.
    postrider_status (*fail)(struct postrider_call *call,
                             postrider_status status,
                             const char *message,
                             const char *hint);
    // Any call: forgets that `run` or `read_file` failed. A program that cannot be started or a file that cannot be
    // read is often an answer too, but a call that succeeds although one of them failed must say that it means it.
    // All other errors stay.
    void (*forgive)(struct postrider_call *call);
    // `create`: the value of a setting that `settings` declared; empty for any other name. Never NULL.
    const char *(*setting)(struct postrider_call *call, const char *name);
    // `create`: shows all settings, sorted by name.
    postrider_status (*for_each_setting)(struct postrider_call *call,
                                         postrider_visit_pair visit,
                                         void *context);
    // `plan`, `snippets`, `check`: what `probe` found under this name; NULL if it found nothing or was not called.
    const char *(*fact)(struct postrider_call *call, const char *name);
    // `plan`, `snippets`, `check`: shows all facts, sorted by name.
    postrider_status (*for_each_fact)(struct postrider_call *call,
                                      postrider_visit_pair visit,
                                      void *context);
    // The roster (`plan`, `snippets`, `check`): all domains and lists at one moment. Domains come sorted by name,
    // lists sorted by domain and then by local part, both in the order of their octets. What is asked of one list
    // or domain costs the same however many there are. Shows every domain.
    postrider_status (*for_each_domain)(struct postrider_call *call,
                                        postrider_visit_domain visit,
                                        void *context);
    // Roster: shows every domain whose `routed` is this one: usually one.
    postrider_status (*for_each_domain_routed_to)(struct postrider_call *call,
                                                  const char *routed,
                                                  postrider_visit_domain visit,
                                                  void *context);
    // Roster: shows every list.
    postrider_status (*for_each_list)(struct postrider_call *call,
                                      postrider_visit_list visit,
                                      void *context);
    // Roster: how many lists there are.
    uint64_t (*list_count)(struct postrider_call *call);
    // Roster: the list-id of the list with just this posting address, NULL if there is none. `domain` is a
    // postrider_domain.name. `foo-request` may be a list of its own and then wins over the sub-address of `foo`.
    postrider_status (*list_id)(struct postrider_call *call,
                                const char *local,
                                const char *domain,
                                const char **list_id);
    // Roster: shows every address of every list: list by list in the roster's order, the posting address first, then
    // the sub-addresses in the site's order. Each address comes once: a list that is really called `foo-request` has
    // that address, not the list `foo`; of two domains with the same alias the first (by name) has an address that
    // both could have. Make tables from this, so that all of them agree.
    postrider_status (*for_each_address)(struct postrider_call *call,
                                         postrider_visit_address visit,
                                         void *context);
    // Roster: shows every address that this list has or could have, with its owner as it is now, and with `list`
    // NULL if no list has it: what a table must say after this list was added or removed. `local` and `domain`,
    // `alias` of the list count.
    postrider_status (*for_each_address_of)(struct postrider_call *call,
                                            const struct postrider_list *list,
                                            postrider_visit_address visit,
                                            void *context);
    // The plan (`plan`). A plan that breaks a rule (path outside the directory, table not begun, limit of size) fails,
    // whatever `plan` returns. Begins a table; the rows that follow belong to it.
    postrider_status (*table)(struct postrider_call *call, const struct postrider_table *table);
    // Plan: adds a row to the table that was begun last.
    postrider_status (*row)(struct postrider_call *call, const struct postrider_row *row);
    // Plan: says that this key must not be in the table that was begun last, which has POSTRIDER_EXTENT_CHANGES.
    postrider_status (*absent)(struct postrider_call *call, const char *key);
    // Plan: wants these permission bits (for instance 01000) set for a directory while anything in it changes. `path`
    // as for tables.
    postrider_status (*guard)(struct postrider_call *call, const char *path, uint32_t mode);
    // Plan: wants this file with these permission bits and exactly these `length` octets. `path` as for tables.
    postrider_status (*file)(struct postrider_call *call,
                             const char *path,
                             uint32_t mode,
                             const uint8_t *contents,
                             size_t length);
    // Plan: wants this file (of an earlier plan) gone. `path` as for tables.
    postrider_status (*remove)(struct postrider_call *call, const char *path);
    // Plan: wants this program run.
    postrider_status (*command)(struct postrider_call *call, const struct postrider_command *command);
    // Tools (`probe`, `check`): runs a program and waits for it: absolute path, no shell, clean environment, time
    // limit. `argv` has NULL behind its last; `input` is what it reads, NULL for nothing. An exit status other than 0
    // is no failure of this function.
    postrider_status (*run)(struct postrider_call *call,
                            const char *const *argv,
                            const char *input,
                            const struct postrider_output **output);
    // Tools: the contents of a file, at most 16 MiB; octets that are not UTF-8 are replaced. A NUL stands behind it,
    // and more may stand in it. `length` may be NULL.
    postrider_status (*read_file)(struct postrider_call *call,
                                  const char *path,
                                  const char **contents,
                                  size_t *length);
    // Tools: 1 if this path exists, else 0.
    uint32_t (*exists)(struct postrider_call *call, const char *path);
    // `settings`: one setting that the adapter reads.
    postrider_status (*answer_setting)(struct postrider_call *call,
                                       const struct postrider_setting *setting);
    // `probe`: something found out about the MTA, which the host keeps and shows to later calls.
    postrider_status (*answer_fact)(struct postrider_call *call, const char *name, const char *value);
    // `snippets`: the next step.
    postrider_status (*answer_snippet)(struct postrider_call *call,
                                       const struct postrider_snippet *snippet);
    // `check`: one result.
    postrider_status (*answer_finding)(struct postrider_call *call,
                                       const struct postrider_finding *finding);
    // `abilities`: something that the adapter can do, by name. A name that the host does not know means nothing.
    // Known: `verp` (one injection serves all recipients, also when each shall have a sender of its own).
    postrider_status (*answer_ability)(struct postrider_call *call, const char *name);
    // `programs`: the absolute path of a program.
    postrider_status (*answer_program)(struct postrider_call *call, const char *path);
    // `inject`: what to run, once; before its inputs and exit codes.
    postrider_status (*answer_injection)(struct postrider_call *call,
                                         const struct postrider_injection *injection);
    // `inject`: something that the program reads.
    postrider_status (*answer_input)(struct postrider_call *call,
                                     const struct postrider_input *input);
    // `inject`: what some exit codes mean.
    postrider_status (*answer_exit)(struct postrider_call *call, const struct postrider_exit *exit);
    // `deliver`: what became of the next recipient, POSTRIDER_OUTCOME_..., and the MTA's reply, for instance `550 5.1.1
    // user unknown`. Once for each recipient, in their order.
    postrider_status (*answer_result)(struct postrider_call *call,
                                      uint32_t outcome,
                                      const char *reply);
    // Any call: how a host is reached that was configured so (name or IP address, brackets allowed). `localhost` is
    // `127.0.0.1`, `0.0.0.0` and `::` are the loopback address of their family, other addresses get their usual form
    // (RFC 5952), names stay as they are. NULL if `host` is no text.
    const char *(*reachable_host)(struct postrider_call *call, const char *host);
    // Any call: 1 if `reachable_host` of this is a loopback address, else 0.
    uint32_t (*is_this_host)(struct postrider_call *call, const char *host);
} postrider_host;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The one symbol of a plugin. The host calls it once, before everything else, and keeps what it returns. `host`
// lives as long as the process. NULL: the plugin cannot work with this host. Define it with POSTRIDER_EXPORT before it.
extern const struct postrider_plugin *postrider_plugin_v1(const struct postrider_host *host);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* POSTRIDER_PLUGIN_H */
