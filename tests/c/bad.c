/* A plugin that says something wrong of itself: built with one of these macros, each with what is wrong. */
#include "postrider_plugin.h"

#include <stddef.h>

#if !defined(NAME)
#define NAME "bad"
#endif
#if !defined(VERSION)
#define VERSION "1"
#endif
#if !defined(ADAPTER)
#define ADAPTER "LMTP"
#endif
#if !defined(SECOND)
#define SECOND "Second"
#endif
#if !defined(DESCRIPTION)
#define DESCRIPTION "d"
#endif
#if !defined(INTERFACE)
#define INTERFACE POSTRIDER_INTERFACE
#endif
#if !defined(SIZE)
#define SIZE sizeof(postrider_plugin)
#endif
#if !defined(ADAPTER_SIZE)
#define ADAPTER_SIZE sizeof(postrider_incoming)
#endif
#if !defined(CREATE)
#define CREATE create
#endif
#if !defined(PLAN)
#define PLAN plan
#endif
#if !defined(INJECT)
#define INJECT inject
#endif
#if !defined(INCOMING)
#define INCOMING incoming
#endif
#if !defined(OUTGOING)
#define OUTGOING outgoing
#endif
#if !defined(RESULT)
#define RESULT &plugin
#endif
#if !defined(SYMBOL)
#define SYMBOL postrider_plugin_v1
#endif

static inline postrider_status create(postrider_call *call, postrider_log *log, void **adapter)
{
    (void)call, (void)log, (void)adapter;
    return POSTRIDER_OK;
}

static inline postrider_status plan(void *adapter, postrider_call *call, const postrider_site *site,
                                    const postrider_change *change)
{
    (void)adapter, (void)call, (void)site, (void)change;
    return POSTRIDER_OK;
}

static inline postrider_status inject(void *adapter, postrider_call *call, const postrider_envelope *envelope)
{
    (void)adapter, (void)call, (void)envelope;
    return POSTRIDER_OK;
}

extern const postrider_plugin plugin;

static const postrider_incoming first = {
    .size = ADAPTER_SIZE, .name = ADAPTER, .description = DESCRIPTION, .create = CREATE, .plan = PLAN};
static const postrider_incoming second = {
    .size = sizeof second, .name = SECOND, .description = "d", .create = create, .plan = plan};
static const postrider_outgoing third = {
    .size = sizeof third, .name = "LMTP", .description = "d", .create = create, .inject = INJECT};
static const postrider_incoming *const incoming[] = {&first, &second, NULL};
static const postrider_outgoing *const outgoing[] = {&third, NULL};
static const void *const all[] __attribute__((unused)) = {incoming, outgoing};

const postrider_plugin plugin = {
    .size = SIZE, .interface = INTERFACE, .name = NAME, .version = VERSION, .incoming = INCOMING, .outgoing = OUTGOING};

POSTRIDER_EXPORT const postrider_plugin *SYMBOL(const postrider_host *host);
POSTRIDER_EXPORT const postrider_plugin *SYMBOL(const postrider_host *host)
{
    return host != NULL ? RESULT : NULL;
}
