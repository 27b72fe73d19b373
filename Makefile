# make demo     build, and see a mailing list work (no root, nothing left behind)
# make test     install what the tests need and run all of them
# make install  DESTDIR= PREFIX=/usr
# make bench    measure against smtp-sink and smtp-source in the same run

PREFIX ?= /usr
DESTDIR ?=
CARGO ?= cargo
PLUGIN_DIR = $(PREFIX)/lib/postrider/plugins

.PHONY: build demo test lint bench install clean

build:
	$(CARGO) build --release --locked -p postrider -p postrider-plugin-postfix

demo: build
	target/release/postrider demo

test:
	tests/setup
	tests/run

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --document-private-items

bench: build
	tests/bench/run

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PLUGIN_DIR) $(DESTDIR)$(PREFIX)/share/doc/postrider \
	  $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 0755 target/release/postrider $(DESTDIR)$(PREFIX)/bin/postrider
	# By rename: a library that a running process has mapped must never be written over.
	install -m 0644 target/release/libpostrider_postfix.so $(DESTDIR)$(PLUGIN_DIR)/.libpostrider_postfix.so.new
	mv -f $(DESTDIR)$(PLUGIN_DIR)/.libpostrider_postfix.so.new $(DESTDIR)$(PLUGIN_DIR)/libpostrider_postfix.so
	install -m 0644 packaging/postrider.cfg.sample README.md CHANGELOG.md $(DESTDIR)$(PREFIX)/share/doc/postrider/
	install -m 0644 packaging/systemd/postrider.service $(DESTDIR)$(PREFIX)/lib/systemd/system/

clean:
	$(CARGO) clean
