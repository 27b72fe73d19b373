// A small plugin in C++17.
#include "postrider_plugin.h"

#include <new>
#include <string>

namespace {

const postrider_host *host;

struct Plain {
    std::string text;
};

postrider_status create(postrider_call *call, postrider_log *log, void **adapter) noexcept
{
    (void)log;
    *adapter = new (std::nothrow) Plain{};
    return *adapter ? POSTRIDER_OK : host->fail(call, POSTRIDER_TEMPORARY, "plain: out of memory", nullptr);
}

void destroy(void *adapter) noexcept
{
    delete static_cast<Plain *>(adapter);
}

postrider_status plan(void *, postrider_call *call, const postrider_site *, const postrider_change *) noexcept
{
    postrider_table table = {};
    table.size = sizeof table;
    table.path = "plain";
    table.format = POSTRIDER_FORMAT_TEXT;
    table.role = POSTRIDER_ROLE_DOMAINS;
    const postrider_status status = host->table(call, &table);
    if (status != POSTRIDER_OK)
        return status;
    const auto visit = [](void *, postrider_call *inner, const postrider_domain *domain) -> postrider_status {
        postrider_row row = {};
        row.size = sizeof row;
        row.key = domain->name;
        row.value = domain->routed;
        return host->row(inner, &row);
    };
    return host->for_each_domain(call, visit, nullptr);
}

postrider_incoming make()
{
    postrider_incoming it = {};
    it.size = sizeof it;
    it.name = "LMTP";
    it.description = "In C++";
    it.create = create;
    it.destroy = destroy;
    it.plan = plan;
    return it;
}

const postrider_incoming lmtp = make();
const postrider_incoming *const incoming[] = {&lmtp, nullptr};

} // namespace

POSTRIDER_EXPORT const postrider_plugin *postrider_plugin_v1(const postrider_host *the_host)
{
    static postrider_plugin plugin = {};
    host = the_host;
    plugin.size = sizeof plugin;
    plugin.interface = POSTRIDER_INTERFACE;
    plugin.name = "plain";
    plugin.version = "1";
    plugin.incoming = incoming;
    return &plugin;
}
