# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_postrider_global_optspecs
    string join \n C/config= h/help V/version
end

function __fish_postrider_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_postrider_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_postrider_using_subcommand
    set -l cmd (__fish_postrider_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c postrider -n "__fish_postrider_needs_command" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_needs_command" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_needs_command" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "create" -d 'Make a list, and its domain if needed, and tell the MTA'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "remove" -d 'Remove a list, and tell the MTA'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "lists" -d 'Show all lists'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "info" -d 'Show a list and its settings'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "set" -d 'Change settings of a list'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "domains" -d 'Show all domains'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "domain" -d 'Add or remove a domain'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "addmembers" -d 'Add members to a list'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "delmembers" -d 'Remove members from a list'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "members" -d 'Show the members of a list'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "aliases" -d 'Write the MTA\'s tables anew'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "hookup" -d 'Show what the MTA must be told once, or check whether it knows the lists'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "conf" -d 'Show or check the configuration'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "plugins" -d 'Show the plugins that can be found, or why they cannot be used'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "plugin" -d 'Tools for those who write plugins'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "inject" -d 'Put a message into a list\'s queue, as if the MTA had delivered it'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "held" -d 'Show held posts and decide about them'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "queue" -d 'Show what waits in the queues and act on it'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "backup" -d 'Copy databases and queues to a new directory, while running'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "status" -d 'Is the daemon running, and how far is it?'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "version" -d 'Print the version'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "serve" -d 'Run the daemon'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "demo" -d 'See a list work, on embedded defaults'
complete -c postrider -n "__fish_postrider_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c postrider -n "__fish_postrider_using_subcommand create" -s o -l owner -d 'An owner of the list (may be given several times)' -r
complete -c postrider -n "__fish_postrider_using_subcommand create" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand create" -s d -l domain -d 'Make the domain too if it does not exist (the default)'
complete -c postrider -n "__fish_postrider_using_subcommand create" -s D -l no-domain -d 'Refuse if the domain does not exist'
complete -c postrider -n "__fish_postrider_using_subcommand create" -s q -l quiet -d 'Print nothing but errors'
complete -c postrider -n "__fish_postrider_using_subcommand create" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand create" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand remove" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand remove" -s q -l quiet -d 'Print nothing but errors'
complete -c postrider -n "__fish_postrider_using_subcommand remove" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand remove" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand lists" -s d -l domain -d 'Only lists of this domain' -r
complete -c postrider -n "__fish_postrider_using_subcommand lists" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand lists" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand lists" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand lists" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand info" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand info" -s v -l verbose -d 'Explain each setting'
complete -c postrider -n "__fish_postrider_using_subcommand info" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand info" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand info" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand set" -s f -l file -d 'Take the value from a file (may be given several times); `-` is standard input' -r
complete -c postrider -n "__fish_postrider_using_subcommand set" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand set" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand set" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand domains" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand domains" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand domains" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand domains" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand domain; and not __fish_seen_subcommand_from add remove help" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand domain; and not __fish_seen_subcommand_from add remove help" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand domain; and not __fish_seen_subcommand_from add remove help" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand domain; and not __fish_seen_subcommand_from add remove help" -f -a "add" -d 'Add a domain, and tell the MTA'
complete -c postrider -n "__fish_postrider_using_subcommand domain; and not __fish_seen_subcommand_from add remove help" -f -a "remove" -d 'Remove a domain that has no lists, and tell the MTA'
complete -c postrider -n "__fish_postrider_using_subcommand domain; and not __fish_seen_subcommand_from add remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c postrider -n "__fish_postrider_using_subcommand domain; and __fish_seen_subcommand_from add" -l alias-domain -d 'The domain that the MTA routes to us in its stead' -r
complete -c postrider -n "__fish_postrider_using_subcommand domain; and __fish_seen_subcommand_from add" -l description -d 'One line for people' -r
complete -c postrider -n "__fish_postrider_using_subcommand domain; and __fish_seen_subcommand_from add" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand domain; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand domain; and __fish_seen_subcommand_from add" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand domain; and __fish_seen_subcommand_from remove" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand domain; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand domain; and __fish_seen_subcommand_from remove" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand domain; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add a domain, and tell the MTA'
complete -c postrider -n "__fish_postrider_using_subcommand domain; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Remove a domain that has no lists, and tell the MTA'
complete -c postrider -n "__fish_postrider_using_subcommand domain; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c postrider -n "__fish_postrider_using_subcommand addmembers" -l role -d 'What they become' -r -f -a "member\t''
owner\t''
moderator\t''"
complete -c postrider -n "__fish_postrider_using_subcommand addmembers" -l delivery -d 'Members get posts (enabled) or not (disabled)' -r -f -a "enabled\t''
disabled\t''"
complete -c postrider -n "__fish_postrider_using_subcommand addmembers" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand addmembers" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand addmembers" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand delmembers" -s f -l file -d 'A file with one address a line; `-` is standard input' -r
complete -c postrider -n "__fish_postrider_using_subcommand delmembers" -l role -d 'In which role' -r -f -a "member\t''
owner\t''
moderator\t''"
complete -c postrider -n "__fish_postrider_using_subcommand delmembers" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand delmembers" -s a -l all -d 'All of them'
complete -c postrider -n "__fish_postrider_using_subcommand delmembers" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand delmembers" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand members" -l role -d 'Only those in this role' -r -f -a "member\t''
owner\t''
moderator\t''"
complete -c postrider -n "__fish_postrider_using_subcommand members" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand members" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand members" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand members" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand aliases" -s o -l output -d 'Write the tables into this directory instead, and run nothing' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand aliases" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand aliases" -s n -l dry-run -d 'Change nothing, show what would change'
complete -c postrider -n "__fish_postrider_using_subcommand aliases" -l activated -d 'The commands that were printed to be run by hand have been run'
complete -c postrider -n "__fish_postrider_using_subcommand aliases" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand aliases" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand hookup" -l write -d 'Write the files, install.sh and undo.sh into this directory, which must be empty or new' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand hookup" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand hookup" -l diff -d 'Compare files with what is installed, and ask the MTA what commands have done; exit status 1 if anything differs'
complete -c postrider -n "__fish_postrider_using_subcommand hookup" -l check -d 'Ask the MTA whether it knows the lists; exit status 1 if mail cannot flow'
complete -c postrider -n "__fish_postrider_using_subcommand hookup" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand hookup" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand hookup" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand conf" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand conf" -l check -d 'Show all errors at once, and what is not installed; exit status 1 if there are any'
complete -c postrider -n "__fish_postrider_using_subcommand conf" -l defaults -d 'Show the built-in defaults'
complete -c postrider -n "__fish_postrider_using_subcommand conf" -l sample -d 'Print an annotated sample file'
complete -c postrider -n "__fish_postrider_using_subcommand conf" -l secrets -d 'Show passwords too'
complete -c postrider -n "__fish_postrider_using_subcommand conf" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand conf" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand conf" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand plugins; and not __fish_seen_subcommand_from reload help" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand plugins; and not __fish_seen_subcommand_from reload help" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand plugins; and not __fish_seen_subcommand_from reload help" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand plugins; and not __fish_seen_subcommand_from reload help" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand plugins; and not __fish_seen_subcommand_from reload help" -f -a "reload" -d 'Make the daemon load a plugin anew from its file'
complete -c postrider -n "__fish_postrider_using_subcommand plugins; and not __fish_seen_subcommand_from reload help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c postrider -n "__fish_postrider_using_subcommand plugins; and __fish_seen_subcommand_from reload" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand plugins; and __fish_seen_subcommand_from reload" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand plugins; and __fish_seen_subcommand_from reload" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand plugins; and __fish_seen_subcommand_from help" -f -a "reload" -d 'Make the daemon load a plugin anew from its file'
complete -c postrider -n "__fish_postrider_using_subcommand plugins; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and not __fish_seen_subcommand_from new check help" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and not __fish_seen_subcommand_from new check help" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and not __fish_seen_subcommand_from new check help" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and not __fish_seen_subcommand_from new check help" -f -a "new" -d 'Begin a plugin: a directory that builds, is tested, and is there to be changed'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and not __fish_seen_subcommand_from new check help" -f -a "check" -d 'Test whether a plugin keeps what a host relies on'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and not __fish_seen_subcommand_from new check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from new" -l lang -d 'The language that it is written in' -r -f -a "rust\t'Rust, with Cargo'
c\t'C11, with make'"
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from new" -l dir -d 'The directory to be made, instead of postrider-plugin-NAME here' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from new" -l api -d 'Rust: where the crate postrider-plugin-api lies, while it comes from no registry' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from new" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from new" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from check" -l test -d 'Only this test; may be given several times' -r
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from check" -l skip -d 'Not this test; may be given several times' -r
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from check" -l adapter -d 'Only this adapter; may be given several times' -r
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from check" -l seed -d 'Where random histories begin; the same number gives the same ones. Without it a new one is taken and shown' -r
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from check" -l time -d 'Longest time for a test, in seconds, in place of its own limit' -r
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from check" -l memory -d 'Most memory for a test, in MiB, in place of its own limit; 0 for none, as sanitizers need it' -r
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from check" -l lists -d 'How many lists the test large-site has, where 100,000 take too long: an unoptimised build, a sanitizer' -r
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from check" -l alone -d 'Run one test in this process; how the tests are run' -r
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from check" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from check" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from check" -l list -d 'Show the tests and what each proves'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from help" -f -a "new" -d 'Begin a plugin: a directory that builds, is tested, and is there to be changed'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from help" -f -a "check" -d 'Test whether a plugin keeps what a host relies on'
complete -c postrider -n "__fish_postrider_using_subcommand plugin; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c postrider -n "__fish_postrider_using_subcommand inject" -s f -l sender -d 'Envelope sender; the From header\'s address when absent' -r
complete -c postrider -n "__fish_postrider_using_subcommand inject" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand inject" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand inject" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand held; and not __fish_seen_subcommand_from show accept reject discard help" -l list -d 'Only posts to this list' -r
complete -c postrider -n "__fish_postrider_using_subcommand held; and not __fish_seen_subcommand_from show accept reject discard help" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand held; and not __fish_seen_subcommand_from show accept reject discard help" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand held; and not __fish_seen_subcommand_from show accept reject discard help" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand held; and not __fish_seen_subcommand_from show accept reject discard help" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand held; and not __fish_seen_subcommand_from show accept reject discard help" -f -a "show" -d 'Show the message'
complete -c postrider -n "__fish_postrider_using_subcommand held; and not __fish_seen_subcommand_from show accept reject discard help" -f -a "accept" -d 'Distribute'
complete -c postrider -n "__fish_postrider_using_subcommand held; and not __fish_seen_subcommand_from show accept reject discard help" -f -a "reject" -d 'Send back to the author'
complete -c postrider -n "__fish_postrider_using_subcommand held; and not __fish_seen_subcommand_from show accept reject discard help" -f -a "discard" -d 'Throw away'
complete -c postrider -n "__fish_postrider_using_subcommand held; and not __fish_seen_subcommand_from show accept reject discard help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from show" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from show" -l raw -d 'Print it octet by octet, to a terminal too'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from accept" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from accept" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from accept" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from reject" -s r -l reason -d 'What the author is told' -r
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from reject" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from reject" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from reject" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from discard" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from discard" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from discard" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show the message'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from help" -f -a "accept" -d 'Distribute'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from help" -f -a "reject" -d 'Send back to the author'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from help" -f -a "discard" -d 'Throw away'
complete -c postrider -n "__fish_postrider_using_subcommand held; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop export import bounces help" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop export import bounces help" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop export import bounces help" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop export import bounces help" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop export import bounces help" -f -a "list" -d 'Show what waits (the default)'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop export import bounces help" -f -a "show" -d 'Show one entry: its header, and its recipients with what the mail server said of them'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop export import bounces help" -f -a "retry" -d 'Try again now: mail that waits for a later try, and shunted mail'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop export import bounces help" -f -a "drop" -d 'Throw entries away, or some recipients of them'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop export import bounces help" -f -a "export" -d 'Write entries to a file from which they can be put back'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop export import bounces help" -f -a "import" -d 'Put back what `queue export` wrote'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop export import bounces help" -f -a "bounces" -d 'Show the permanent failures of the last 30 days'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop export import bounces help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -l list -d 'Only of this list' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -l state -d 'Only in this state' -r -f -a "new\t'In: to be processed'
kept\t'In: kept for a function that processes it later'
shunted\t'In: could not be processed'
due\t'Out: somebody is to be delivered to now'
deferred\t'Out: everybody waits for a later try'"
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -l recipient -d 'Only for this recipient' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -l watch -d 'Show it again and again, every so many seconds, until Ctrl-C' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -l as -d 'Show the message as this recipient, who still waits for it, gets it' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -l recipients -d 'Show every recipient that waits'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -l body -d 'Show the message\'s body too'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -l raw -d 'Print only the message, octet by octet, to a terminal too'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -l list -d 'Only of this list' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -l state -d 'Only in this state' -r -f -a "new\t'In: to be processed'
kept\t'In: kept for a function that processes it later'
shunted\t'In: could not be processed'
due\t'Out: somebody is to be delivered to now'
deferred\t'Out: everybody waits for a later try'"
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -l recipient -d 'Only for this recipient' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -l reply -d 'Only recipients whose last reply contains this text' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from retry" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from drop" -l list -d 'Only of this list' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from drop" -l state -d 'Only in this state' -r -f -a "new\t'In: to be processed'
kept\t'In: kept for a function that processes it later'
shunted\t'In: could not be processed'
due\t'Out: somebody is to be delivered to now'
deferred\t'Out: everybody waits for a later try'"
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from drop" -l recipient -d 'Only for this recipient' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from drop" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from drop" -s y -l yes -d 'Do not ask; needed for several at once (`--list`, `--state`, `--recipient`) when nobody can be asked'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from drop" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from drop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from drop" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from export" -l list -d 'Only of this list' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from export" -l state -d 'Only in this state' -r -f -a "new\t'In: to be processed'
kept\t'In: kept for a function that processes it later'
shunted\t'In: could not be processed'
due\t'Out: somebody is to be delivered to now'
deferred\t'Out: everybody waits for a later try'"
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from export" -l recipient -d 'Only for this recipient' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from export" -l format -d 'How it is written; mbox is for people and other tools' -r -f -a "json\t'One record a line'
mbox\t'Messages with their envelope in header fields `X-Postrider-…`'"
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from export" -s o -l output -d 'The file; `-` is standard output' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from export" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from export" -l all -d 'Everything'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from export" -l remove -d 'Take out of the queue what was written, after the file is on disk'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from export" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from export" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from import" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from import" -l dry-run -d 'Only check the file, and say what it has'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from import" -l again -d 'Queue also what was imported before or is in the queue still; it is then sent twice'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from import" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from import" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from bounces" -l list -d 'Only of this list' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from bounces" -l recipient -d 'Only of this recipient' -r
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from bounces" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from bounces" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from bounces" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from bounces" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "list" -d 'Show what waits (the default)'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show one entry: its header, and its recipients with what the mail server said of them'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "retry" -d 'Try again now: mail that waits for a later try, and shunted mail'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "drop" -d 'Throw entries away, or some recipients of them'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write entries to a file from which they can be put back'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "import" -d 'Put back what `queue export` wrote'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "bounces" -d 'Show the permanent failures of the last 30 days'
complete -c postrider -n "__fish_postrider_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c postrider -n "__fish_postrider_using_subcommand backup" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand backup" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand backup" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand status" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand status" -l json -d 'Print JSON'
complete -c postrider -n "__fish_postrider_using_subcommand status" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand status" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand version" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand version" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand version" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand serve" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand serve" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand serve" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand demo" -l plugins -d 'Where this build\'s plugins are; beside the program when absent' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand demo" -s C -l config -d 'The configuration file' -r -F
complete -c postrider -n "__fish_postrider_using_subcommand demo" -s h -l help -d 'Print help'
complete -c postrider -n "__fish_postrider_using_subcommand demo" -s V -l version -d 'Print version'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "create" -d 'Make a list, and its domain if needed, and tell the MTA'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "remove" -d 'Remove a list, and tell the MTA'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "lists" -d 'Show all lists'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "info" -d 'Show a list and its settings'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "set" -d 'Change settings of a list'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "domains" -d 'Show all domains'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "domain" -d 'Add or remove a domain'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "addmembers" -d 'Add members to a list'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "delmembers" -d 'Remove members from a list'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "members" -d 'Show the members of a list'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "aliases" -d 'Write the MTA\'s tables anew'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "hookup" -d 'Show what the MTA must be told once, or check whether it knows the lists'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "conf" -d 'Show or check the configuration'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "plugins" -d 'Show the plugins that can be found, or why they cannot be used'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "plugin" -d 'Tools for those who write plugins'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "inject" -d 'Put a message into a list\'s queue, as if the MTA had delivered it'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "held" -d 'Show held posts and decide about them'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "queue" -d 'Show what waits in the queues and act on it'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "backup" -d 'Copy databases and queues to a new directory, while running'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "status" -d 'Is the daemon running, and how far is it?'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "version" -d 'Print the version'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "serve" -d 'Run the daemon'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "demo" -d 'See a list work, on embedded defaults'
complete -c postrider -n "__fish_postrider_using_subcommand help; and not __fish_seen_subcommand_from create remove lists info set domains domain addmembers delmembers members aliases hookup conf plugins plugin inject held queue backup status version serve demo help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from domain" -f -a "add" -d 'Add a domain, and tell the MTA'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from domain" -f -a "remove" -d 'Remove a domain that has no lists, and tell the MTA'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from plugins" -f -a "reload" -d 'Make the daemon load a plugin anew from its file'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from plugin" -f -a "new" -d 'Begin a plugin: a directory that builds, is tested, and is there to be changed'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from plugin" -f -a "check" -d 'Test whether a plugin keeps what a host relies on'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from held" -f -a "show" -d 'Show the message'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from held" -f -a "accept" -d 'Distribute'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from held" -f -a "reject" -d 'Send back to the author'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from held" -f -a "discard" -d 'Throw away'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "list" -d 'Show what waits (the default)'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "show" -d 'Show one entry: its header, and its recipients with what the mail server said of them'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "retry" -d 'Try again now: mail that waits for a later try, and shunted mail'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "drop" -d 'Throw entries away, or some recipients of them'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "export" -d 'Write entries to a file from which they can be put back'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "import" -d 'Put back what `queue export` wrote'
complete -c postrider -n "__fish_postrider_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "bounces" -d 'Show the permanent failures of the last 30 days'
