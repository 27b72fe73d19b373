//! Is called otherwise than its file.

postrider_plugin_api::export_plugin! {
    name: "right_name",
    version: "0",
}
