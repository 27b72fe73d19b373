dnl Mailing lists of Postrider. Made by `postrider hookup`; include it at the end of sendmail.mc.
ifdef(`_MAILER_smtp_', , `errprint(`postrider.m4: include this file after MAILER(`smtp')
')m4exit(`1')')dnl
PUSHDIVERT(-1)
LOCAL_CONFIG
`# Mailing lists: which domains, which addresses
Kpostrider_domains hash -T<TMPF> /var/lib/postrider/data/sendmail_domains
Kpostrider_addresses hash -T<TMPF> /var/lib/postrider/data/sendmail_addresses
'POPDIVERT`'dnl
PUSHDIVERT(-1)
LOCAL_RULE_0
`# mailing lists: < what the domain is > < the list > address
R$*				$: $&{addr_type} $| $1
Re s $| $*			$@ $1
R$* $| $*			$: $2
R$+ < @ $+ . >			$: < $( postrider_domains $2 $: ? $) > $1 < @ $2 . >
R$+ < @ $* $~. >		$: < $( postrider_domains $2 $3 $: ? $) > $1 < @ $2 $3 >
R< ? > $*			$: $1
R< $* <TMPF> > $*		$#error $@ 4.3.0 $: "451 The tables of the mailing lists cannot be read"
R< $+ > $+ < @ $* $~. >		$: < $1 > $2 < @ $3 $4 . >
R< $+ > $+ < @ $+ . >		$: < $1 > < $( postrider_addresses $2 @ $3 $: ? $) > $2 < @ $3 . >
R< $+ > < ? > $+ + $* < @ $+ . >	$: < $1 > < $( postrider_addresses $2 + * @ $4 $: ? $) > $2 + $3 < @ $4 . >
R< $+ > < $* <TMPF> > $*	$#error $@ 4.3.0 $: "451 The tables of the mailing lists cannot be read"
R< lists > < ? > $+ < @ $=w . >	$: $1 < @ $2 . >
R< lists > < ? > $+ < @ $={VirtHost} . >	$: $1 < @ $2 . >
R< lists > < ? > $+ < @ $=R . >	$: $1 < @ $2 . >
'ifdef(`_MAILER_TABLE_', ``# mailing lists: with a mailertable
R< lists > < ? > $+ < @ $+ . >	$: $1 < @ $2 . > $| $>Postrider_routed $2
R$+ < @ $+ . > $| yes		$: $1 < @ $2 . >
R$+ < @ $+ . > $| no		$: < lists > < ? > $1 < @ $2 . >
'')`# mailing lists: whatever sendmail.mc has
R< shared > < ? > $*		$: $1
R< lists > < ? > postmaster < @ $+ . >	$#local $: postmaster
R< $+ > < ? > $*		$#error $@ 5.1.1 $: "550 No such mailing list"
R< $+ > < $+ > $+ < @ $+ . >	$#postrider $@ [IPv6:2001:db8::2] $: $3 < @ $4 . >
'POPDIVERT`'dnl
PUSHDIVERT(-1)
LOCAL_RULESETS
`# mailing lists may be relayed to: what Sendmail itself has not decided yet
SRcpt_ok
R$*				$: <postrider> $| $&{rcpt_mailer} $| $&{rcpt_addr} $| $1
R<postrider> $| postrider $| $* $| $*	$@ RELAY
R<postrider> $| local $| postmaster $| $*	$@ RELAY
R<postrider> $| $* $| $* $| $*	$: $3
# and the list server may relay
R$*				$: <postrider> $| $&{client_addr} $| $1
R<postrider> $| IPv6:2001:db8:0:0:0:0:0:2 $| $*	$@ RELAY
R<postrider> $| $* $| $*		$: $2
R$*				$: <postrider> $| $&{client_addr} $| $1
R<postrider> $| IPv6:2001:db8::2 $| $*	$@ RELAY
R<postrider> $| $* $| $*		$: $2
'ifdef(`_MAILER_TABLE_', ``# mailing lists: with a mailertable
SPostrider_routed
R$*				$: $1 $| $( mailertable $1 $: ? $)
R. $- . $+ $| ?			$@ $>Postrider_routed . $2
R$- . $+ $| ?			$@ $>Postrider_routed . $2
R$* $| ?			$@ no
R$*				$@ yes
'')`# mailing lists: whatever sendmail.mc has
'POPDIVERT`'dnl
PUSHDIVERT(-1)
MAILER_DEFINITIONS
`# the list server, by LMTP
Mpostrider,		P=[IPC], F=mDFMuhXzk8, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, E=\r\n, L=0,
		T=DNS/RFC822/SMTP,
		A=TCP $h 8024
'POPDIVERT`'dnl
