# Inserts one event and waits for its result: pwsh insert.ps1 KEY
# Needs no module: event-sender reads the job from standard input. From another machine, put 'ssh HOST' before it.
param([Parameter(Mandatory)] [string] $Key)
$ErrorActionPreference = 'Stop'

$Job = @{
    subject    = 'Review'
    start_time = '2030-12-01T09:00:00'
    end_time   = '2030-12-01T10:00:00'
    time_zone  = 'W. Europe Standard Time'
    attendees  = @(@{ name = 'Ann'; address = 'ann@contoso.com' })
    dedup_key  = $Key
}
$Id = $Job | ConvertTo-Json -Compress -Depth 4 | event-sender enqueue -
if ($LASTEXITCODE) { throw "not inserted" }

do {
    Start-Sleep -Seconds 1
    $Row = event-sender show $Id --json | ConvertFrom-Json
} until ($Row.state -in 'sent', 'failed', 'cancelled')
"$($Row.state) $($Row.event_id)$($Row.error_message)"
