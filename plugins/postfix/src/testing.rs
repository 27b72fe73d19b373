//! Stand-ins for the host in unit tests.

pub(crate) use postrider_plugin_api::testing::{site, TestRoster, TestSink, TestTools};
