# make demo     build, and see a mailing list work (no root, nothing left behind)
# make test     install what the tests need and run all of them
# make install  DESTDIR= PREFIX=/usr
# make bench    measure beside Postfix, Mailman and others in the same run (an hour; tests/bench/run --quick: minutes)

PREFIX ?= /usr
DESTDIR ?=
CARGO ?= cargo
PLUGIN_DIR = $(PREFIX)/lib/postrider/plugins
BUILT = target/release
PLUGINS = exim4 postfix qmail sendmail
BIN = $(DESTDIR)$(PREFIX)/bin
LIB = $(DESTDIR)$(PREFIX)/lib
SHARE = $(DESTDIR)$(PREFIX)/share

.PHONY: build demo test lint bench install clean

build:
	$(CARGO) build --release --locked -p postrider $(PLUGINS:%=-p postrider-plugin-%)

demo: build
	target/release/postrider demo

test:
	tests/setup
	tests/run

lint:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path tests/fuzz/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --document-private-items

bench: build
	tests/bench/run

# `make` as yourself, then `sudo make install`: the compiler need not be in root's PATH.
$(BUILT)/postrider:
	$(MAKE) build

install: $(BUILT)/postrider
	install -d $(BIN) $(DESTDIR)$(PLUGIN_DIR) $(SHARE)/doc/postrider $(SHARE)/man/man1 $(SHARE)/man/man5 \
	  $(SHARE)/bash-completion/completions $(SHARE)/zsh/vendor-completions $(SHARE)/fish/vendor_completions.d \
	  $(DESTDIR)$(PREFIX)/include $(LIB)/systemd/system $(LIB)/sysusers.d $(DESTDIR)/etc/logrotate.d $(DESTDIR)/etc/postrider
	# By rename: a program that runs, or a library that one has mapped, must never be written over.
	install -m 0755 $(BUILT)/postrider $(BIN)/.postrider.new
	mv -f $(BIN)/.postrider.new $(BIN)/postrider
	install -m 0755 $(BUILT)/qmail-lmtp $(BIN)/.qmail-lmtp.new
	mv -f $(BIN)/.qmail-lmtp.new $(BIN)/qmail-lmtp
	set -e; for plugin in $(PLUGINS); do \
	  library=libpostrider_$$plugin.so; \
	  install -m 0644 $(BUILT)/$$library $(DESTDIR)$(PLUGIN_DIR)/.$$library.new; \
	  mv -f $(DESTDIR)$(PLUGIN_DIR)/.$$library.new $(DESTDIR)$(PLUGIN_DIR)/$$library; \
	  install -m 0644 plugins/$$plugin/README.md $(SHARE)/doc/postrider/README.$$plugin.md; \
	  install -m 0644 plugins/$$plugin/$$plugin.cfg.sample $(SHARE)/doc/postrider/; \
	done
	install -m 0644 packaging/postrider.cfg.sample packaging/systemd/postrider-injection.conf \
	  packaging/systemd/postrider-home.conf README.md CHANGELOG.md docs/durability.md $(SHARE)/doc/postrider/
	install -m 0644 packaging/man/postrider.1 packaging/man/qmail-lmtp.1 $(SHARE)/man/man1/
	install -m 0644 packaging/man/postrider.cfg.5 $(SHARE)/man/man5/
	install -m 0644 packaging/completions/postrider.bash $(SHARE)/bash-completion/completions/postrider
	install -m 0644 packaging/completions/_postrider $(SHARE)/zsh/vendor-completions/
	install -m 0644 packaging/completions/postrider.fish $(SHARE)/fish/vendor_completions.d/
	sed 's|/usr/bin/postrider|$(PREFIX)/bin/postrider|' packaging/systemd/postrider.service \
	  > $(LIB)/systemd/system/postrider.service
	install -m 0644 packaging/include/postrider_plugin.h $(DESTDIR)$(PREFIX)/include/
	install -m 0644 packaging/systemd/postrider.socket $(LIB)/systemd/system/
	install -m 0644 packaging/sysusers.d/postrider.conf $(LIB)/sysusers.d/
	install -m 0644 packaging/logrotate/postrider $(DESTDIR)/etc/logrotate.d/

clean:
	$(CARGO) clean
