# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_event_sender_global_optspecs
    string join \n config= h/help V/version
end

function __fish_event_sender_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_event_sender_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_event_sender_using_subcommand
    set -l cmd (__fish_event_sender_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c event-sender -n "__fish_event_sender_needs_command" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_needs_command" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_needs_command" -s V -l version -d 'Print version'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "run" -d 'Run the daemon'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "demo" -d 'Run a self-contained demonstration: sandbox, temporary queue, sample jobs'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "sandbox" -d 'Serve a fake Entra and Graph on this machine'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "check" -d 'Check settings, files, database, network, sign-in and mailboxes'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "enqueue" -d 'Insert jobs, from flags or from NDJSON or CSV files'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "list" -d 'List jobs'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "show" -d 'Show one job with its history'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "status" -d 'Show the queue at a glance'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "after-restore" -d 'After restoring a backup: have every waiting job looked up before it is sent'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "retry" -d 'Retry failed or cancelled jobs, or waiting ones now'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "cancel" -d 'Cancel waiting or failed jobs'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "hold" -d 'Send nothing to a mailbox until it is released'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "release" -d 'Resume sending to a mailbox on hold'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "resume" -d 'End a mailbox\'s pause early'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "purge" -d 'Delete jobs that ended a while ago'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "init" -d 'Write agent.toml from a few answers, and check it'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "settings" -d 'Print the annotated settings file'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "completions" -d 'Print a shell completion script'
complete -c event-sender -n "__fish_event_sender_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c event-sender -n "__fish_event_sender_using_subcommand run" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand run" -l until-empty -d 'End when no job is pending or claimed any more'
complete -c event-sender -n "__fish_event_sender_using_subcommand run" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand demo" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand demo" -l wide -d 'Cut nothing to the terminal\'s width'
complete -c event-sender -n "__fish_event_sender_using_subcommand demo" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand sandbox" -l listen -d 'Address to listen on; this machine only' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand sandbox" -l latency -d 'Time every calendar request takes' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand sandbox" -l token-lifetime -d 'Lifetime of the tokens it issues' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand sandbox" -l certificate -d 'Certificate (PEM) registered for the application, for mode certificate; may be given several times' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand sandbox" -l arc-tokens-dir -d 'Directory for the challenge files of Azure Arc, for mode managed_identity' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand sandbox" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand sandbox" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand check" -l mailbox -d 'Check this mailbox too; may be given several times' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand check" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand check" -l offline -d 'Skip what needs the network'
complete -c event-sender -n "__fish_event_sender_using_subcommand check" -l all-mailboxes -d 'Check every mailbox that jobs wait for, not only the ten with the most'
complete -c event-sender -n "__fish_event_sender_using_subcommand check" -l wide -d 'Break no line to the terminal\'s width'
complete -c event-sender -n "__fish_event_sender_using_subcommand check" -l json -d 'As JSON'
complete -c event-sender -n "__fish_event_sender_using_subcommand check" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l format -d 'Format of the files [default: by their names; NDJSON for stdin]' -r -f -a "ndjson\t'JSON objects: one per line, one after another, or in one list'
csv\t'With a header line; columns are separated by commas, semicolons, tabs or |'"
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l start -d 'Start, like "2030-12-01 09:00" or 2030-12-01T09:00:00+01:00' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l end -d 'End' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l key -d 'Key of your own for the event that is made; --update and --delete name it by this' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l update -d 'Update the event of this key; what is not given stays as it is' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l delete -d 'Delete the event of this key; its attendees get a cancellation' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l update-event -d 'Update the event with this EventID, which no job of this queue has to have made' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l delete-event -d 'Delete the event with this EventID' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l comment -d 'What the cancellation says to attendees' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l subject -d 'Subject' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l body -d 'Body' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l body-type -d 'What the body is: text or html' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l location -d 'Place' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l attendee -d 'Required attendee, like ann@contoso.com or "Ann <ann@contoso.com>"; may be given several times' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l optional -d 'Optional attendee' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l resource -d 'Room or equipment' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l mailbox -d 'Whose calendar' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l calendar-id -d 'Which of its calendars' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l time-zone -d 'Zone of times without an offset' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l extra -d 'Further event properties, as a JSON object' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l dedup-key -d 'Key of your own for this job; a second job with it is refused' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l not-before -d 'Not to be sent before this UTC time' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l not-after -d 'Not to be sent after this UTC time' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l priority -d 'Of what is due in a mailbox, the higher goes first' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l skip-invalid -d 'Insert what is in order and leave the rest of the lines out'
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -l dry-run -d 'Validate only; insert nothing, and do not check which dedup_keys are taken'
complete -c event-sender -n "__fish_event_sender_using_subcommand enqueue" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c event-sender -n "__fish_event_sender_using_subcommand list" -l state -d 'Only jobs in this state: pending, claimed, sent, failed or cancelled' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand list" -l mailbox -d 'Only jobs of this mailbox' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand list" -l error-kind -d 'Only jobs whose last failure is of this kind, such as throttled or invalid_job' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand list" -l event-key -d 'Only jobs of the event that your programs call by this key' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand list" -l dedup-key -d 'Only the job that your programs call by this key' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand list" -l since -d 'Only jobs that ended since then (waiting ones: were inserted since then): an age like 2h, or a UTC time' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand list" -l before -d 'Only jobs with a smaller id: with the first id of a list, what comes before it' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand list" -l limit -d 'At most this many, the newest' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand list" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand list" -l in-doubt -d 'Only jobs in doubt: an event may exist that no answer has confirmed'
complete -c event-sender -n "__fish_event_sender_using_subcommand list" -l wide -d 'Cut nothing to the terminal\'s width'
complete -c event-sender -n "__fish_event_sender_using_subcommand list" -l json -d 'As a JSON array'
complete -c event-sender -n "__fish_event_sender_using_subcommand list" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand show" -l key -d 'Key of an event, also one that looks like an id' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand show" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand show" -l request -d 'Print the exact body of the job\'s request instead'
complete -c event-sender -n "__fish_event_sender_using_subcommand show" -l wide -d 'Cut nothing to the terminal\'s width'
complete -c event-sender -n "__fish_event_sender_using_subcommand show" -l json -d 'As JSON'
complete -c event-sender -n "__fish_event_sender_using_subcommand show" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand status" -l format -d 'For whom: a person, a program, or a monitoring system that runs Nagios plugins (Icinga, Checkmk, …)' -r -f -a "text\t''
json\t''
nagios\t''"
complete -c event-sender -n "__fish_event_sender_using_subcommand status" -l since -d 'Failed jobs are news if they failed since then: since you looked last. An age like 2h, or a UTC time [default: 1h]' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand status" -l exit-code -d 'End with 0 if all is fine, 1 if something needs a look, 2 if nothing is sent, 3 if no agent works; with a word, with 0 unless it is as bad as that' -r -f -a "look\t'Anything that needs a look'
stopped\t'Nothing is sent'
no-agent\t'No agent works'"
complete -c event-sender -n "__fish_event_sender_using_subcommand status" -l mailboxes -d 'Name at most this many mailboxes, those with the most waiting jobs [default: 20; with --watch what fits]' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand status" -l watch -d 'As a live screen, looked at again after so many seconds' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand status" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand status" -l json -d 'As JSON; the same as --format json'
complete -c event-sender -n "__fish_event_sender_using_subcommand status" -l wide -d 'Cut nothing to the terminal\'s width'
complete -c event-sender -n "__fish_event_sender_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c event-sender -n "__fish_event_sender_using_subcommand after-restore" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand after-restore" -l dry-run -d 'Say how many jobs it would be, and change nothing'
complete -c event-sender -n "__fish_event_sender_using_subcommand after-restore" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand retry" -l error-kind -d 'Jobs whose last failure is of this kind; several with commas' -r -f -a "invalid_job\t''
rejected\t''
not_found\t''
denied\t''
throttled\t''
unavailable\t''
auth\t''
exhausted\t''
duplicate_transaction\t''
expired\t''
superseded\t''
target\t''"
complete -c event-sender -n "__fish_event_sender_using_subcommand retry" -l mailbox -d 'Jobs of this mailbox' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand retry" -l since -d 'Jobs that ended since then (waiting ones: were inserted since then): an age like 2h, or a UTC time' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand retry" -l limit -d 'At most this many, the first inserted' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand retry" -l state -d 'Jobs in this state; pending ones are tried at once instead of after their wait' -r -f -a "failed\t''
cancelled\t''
pending\t''"
complete -c event-sender -n "__fish_event_sender_using_subcommand retry" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand retry" -l all -d 'All jobs in the state'
complete -c event-sender -n "__fish_event_sender_using_subcommand retry" -l configuration -d 'Jobs that failed for a reason outside of them: sign-in, permission, a missing mailbox or calendar (auth, denied, not_found, and exhausted while waiting for those)'
complete -c event-sender -n "__fish_event_sender_using_subcommand retry" -l dry-run -d 'Only say what would be done'
complete -c event-sender -n "__fish_event_sender_using_subcommand retry" -l json -d 'Say it as JSON'
complete -c event-sender -n "__fish_event_sender_using_subcommand retry" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand cancel" -l error-kind -d 'Jobs whose last failure is of this kind; several with commas' -r -f -a "invalid_job\t''
rejected\t''
not_found\t''
denied\t''
throttled\t''
unavailable\t''
auth\t''
exhausted\t''
duplicate_transaction\t''
expired\t''
superseded\t''
target\t''"
complete -c event-sender -n "__fish_event_sender_using_subcommand cancel" -l mailbox -d 'Jobs of this mailbox' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand cancel" -l since -d 'Jobs that ended since then (waiting ones: were inserted since then): an age like 2h, or a UTC time' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand cancel" -l limit -d 'At most this many, the first inserted' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand cancel" -l state -d 'Jobs in this state' -r -f -a "pending\t''
failed\t''"
complete -c event-sender -n "__fish_event_sender_using_subcommand cancel" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand cancel" -l all -d 'All jobs in the state'
complete -c event-sender -n "__fish_event_sender_using_subcommand cancel" -l even-if-in-doubt -d 'Also jobs in doubt: you have looked into the calendar'
complete -c event-sender -n "__fish_event_sender_using_subcommand cancel" -l dry-run -d 'Only say what would be done'
complete -c event-sender -n "__fish_event_sender_using_subcommand cancel" -l json -d 'Say it as JSON'
complete -c event-sender -n "__fish_event_sender_using_subcommand cancel" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand hold" -l reason -d 'Why; shown with the hold' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand hold" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand hold" -l list -d 'Only list what is on hold'
complete -c event-sender -n "__fish_event_sender_using_subcommand hold" -l dry-run -d 'Only say what would be done'
complete -c event-sender -n "__fish_event_sender_using_subcommand hold" -l json -d 'Say it as JSON'
complete -c event-sender -n "__fish_event_sender_using_subcommand hold" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand release" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand release" -l all -d 'Everything that is on hold'
complete -c event-sender -n "__fish_event_sender_using_subcommand release" -l dry-run -d 'Only say what would be done'
complete -c event-sender -n "__fish_event_sender_using_subcommand release" -l json -d 'Say it as JSON'
complete -c event-sender -n "__fish_event_sender_using_subcommand release" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand resume" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand resume" -l all -d 'Every paused mailbox but those that Microsoft asked to leave alone'
complete -c event-sender -n "__fish_event_sender_using_subcommand resume" -l dry-run -d 'Only say what would be done'
complete -c event-sender -n "__fish_event_sender_using_subcommand resume" -l json -d 'Say it as JSON'
complete -c event-sender -n "__fish_event_sender_using_subcommand resume" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand purge" -l older-than -d 'Jobs that ended longer ago, like 30d, or before that UTC time' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand purge" -l state -d 'Only jobs in this state; several with commas [default: all that have ended]' -r -f -a "sent\t''
failed\t''
cancelled\t''"
complete -c event-sender -n "__fish_event_sender_using_subcommand purge" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand purge" -l dry-run -d 'Only say what would be done'
complete -c event-sender -n "__fish_event_sender_using_subcommand purge" -l json -d 'Say it as JSON'
complete -c event-sender -n "__fish_event_sender_using_subcommand purge" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l mode -d 'How to sign in' -r -f -a "managed_identity\t''
federated\t''
certificate\t''
client_secret\t''
password\t''"
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l tenant -d 'Directory (tenant) ID, or a domain of the tenant' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l client -d 'Application (client) ID; in mode managed_identity only for a user-assigned identity' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l mailbox -d 'Mailbox of jobs that name none' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l time-zone -d 'Zone of times without an offset, of jobs that name none: an IANA or Windows name' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l queue -d 'The queue\'s database' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l client-secret-file -d 'Mode client_secret: file that holds the secret\'s Value' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l certificate-file -d 'Mode certificate: PEM file with the certificate' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l private-key-file -d 'Mode certificate: PEM file with the private key [default: the certificate\'s file]' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l federated-token-file -d 'Mode federated: file in which the other provider keeps its token' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l username -d 'Mode password: the user who signs in' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l password-file -d 'Mode password: file that holds the password' -r
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -l systemd-credential -d 'The secret, password or certificate comes as a systemd credential, not as a file'
complete -c event-sender -n "__fish_event_sender_using_subcommand init" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand settings" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand settings" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand completions" -l config -d 'Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]' -r -F
complete -c event-sender -n "__fish_event_sender_using_subcommand completions" -s h -l help -d 'Print help'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "run" -d 'Run the daemon'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "demo" -d 'Run a self-contained demonstration: sandbox, temporary queue, sample jobs'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "sandbox" -d 'Serve a fake Entra and Graph on this machine'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "check" -d 'Check settings, files, database, network, sign-in and mailboxes'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "enqueue" -d 'Insert jobs, from flags or from NDJSON or CSV files'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "list" -d 'List jobs'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "show" -d 'Show one job with its history'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "status" -d 'Show the queue at a glance'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "after-restore" -d 'After restoring a backup: have every waiting job looked up before it is sent'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "retry" -d 'Retry failed or cancelled jobs, or waiting ones now'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "cancel" -d 'Cancel waiting or failed jobs'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "hold" -d 'Send nothing to a mailbox until it is released'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "release" -d 'Resume sending to a mailbox on hold'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "resume" -d 'End a mailbox\'s pause early'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "purge" -d 'Delete jobs that ended a while ago'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "init" -d 'Write agent.toml from a few answers, and check it'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "settings" -d 'Print the annotated settings file'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "completions" -d 'Print a shell completion script'
complete -c event-sender -n "__fish_event_sender_using_subcommand help; and not __fish_seen_subcommand_from run demo sandbox check enqueue list show status after-restore retry cancel hold release resume purge init settings completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
