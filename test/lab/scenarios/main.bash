# shellcheck shell=bash
# main - the scenario behind ../corpus/nagios; run it with ../capture.
# Input and output: see ../capture.  Takes about four minutes and ends by itself.

extra=$LAB_STATE/escalation.cfg
cat >"$extra" <<'END'
define serviceescalation {
    host_name              db01
    service_description    PostgreSQL
    first_notification     2
    last_notification      0
    notification_interval  3
    contacts               dba
}
END

# --- every kind of service and host notification -------------------------------
begin -i 0
label 01-service-critical
nagios set web01/HTTP CRITICAL 'CRITICAL - Socket timeout after 10 seconds'
got 2
label 02-service-acknowledged
nagios ack web01/HTTP oncall 'Restarting Apache; see INC-4711'
got 2
label 03-service-custom
nagios notify web01/HTTP dba 'Is this the same as last week?'
got 2
label 04-service-recovered
nagios set web01/HTTP OK 'HTTP OK: HTTP/1.1 200 OK - 612 bytes in 0.004 second response time |time=0.004s;5;10;0 size=612B'
got 2
label 05-service-warning
nagios set db01/Disk WARNING 'DISK WARNING - free space: /var 4021 MB (9% inode=71%);|/var=37MB;40;45;0;50'
got 2
label 06-service-warning-to-critical
nagios set db01/Disk CRITICAL 'DISK CRITICAL - free space: /var 401 MB (0% inode=71%);|/var=49MB;40;45;0;50'
got 2
label 07-service-critical-to-unknown
nagios set db01/Disk UNKNOWN '(Service check timed out after 60.01 seconds)'
got 2
label 08-service-unknown-recovered
nagios set db01/Disk OK 'DISK OK - free space: /var 40213 MB (51% inode=93%)'
got 2
label 09-host-down
nagios set web01 DOWN 'CRITICAL - Host Unreachable (192.0.2.10)'
got 2
label 10-host-acknowledged
nagios ack web01 oncall 'Power supply is being replaced'
got 2
label 11-host-custom
nagios notify web01 oncall 'Back by noon'
got 2
label 12-host-recovered
nagios set web01 UP 'PING OK - Packet loss = 0%, RTA = 0.61 ms'
got 2
label 13-host-down-gateway
nagios set gw01 DOWN 'PING CRITICAL - Packet loss = 100%'
got 2
label 13-host-unreachable
nagios set web01 DOWN 'CRITICAL - Host Unreachable (192.0.2.10)'
got 2
label 14-host-unreachable-recovered
nagios set web01 UP 'PING OK - Packet loss = 0%, RTA = 0.61 ms'
got 2
label 14-host-recovered-gateway
nagios set gw01 UP 'PING OK - Packet loss = 0%, RTA = 0.42 ms'
got 2
label 15-service-downtime-start
nagios downtime web01/Disk 4 dba 'Moving /var to the new array'
got 2
label 16-service-downtime-end
got 2
label 17-host-downtime-start
nagios downtime db01 4 oncall 'Kernel update'
got 2
label 18-host-downtime-end
got 2
# A problem that begins inside a downtime is announced when the downtime ends.
label 19-service-problem-after-downtime
nagios downtime web01/Disk 5
sleep 1.5
nagios set web01/Disk CRITICAL 'DISK CRITICAL - free space: / 12 MB (0% inode=93%)'
got 6
label skip
end

# --- the same problem again and again, and an escalation -----------------------
begin -i 3 -x "$extra"
label 20-service-again
nagios set db01/PostgreSQL CRITICAL 'CRITICAL - no connection to template1 (FATAL: sorry, too many clients already)'
got 4
label 21-service-again-recovered
nagios set db01/PostgreSQL OK 'POSTGRES_CONNECTION OK: version 15.6'
got 1
label 22-host-again
nagios set web01 DOWN 'PING CRITICAL - Packet loss = 100%'
got 4
quiet 0
nagios set web01 UP
sleep 2
end

# --- flapping ------------------------------------------------------------------
begin -i 0 -F -a 1
label 23-service-flapping
nagios flap db01/Disk 14
got 2 '23-*flappingstart*'
got 2 '23-*flappingstop*'
label 24-host-flapping
nagios flap db01 14
got 2 '24-*flappingstart*'
got 2 '24-*flappingstop*'
end

# --- awkward plugin output -----------------------------------------------------
begin -i 0
awkward() { # NAME TEXT
	label "$1"
	nagios set web01/HTTP CRITICAL "$2"
	got 2
	quiet 0
	nagios set web01/HTTP OK
	sleep 2.5
}
awkward 30-quotes "CRITICAL - \"double\", 'single', it's \`backticked\`, \"\"\" and '''"
# shellcheck disable=SC2016
awkward 31-shell 'CRITICAL - $HOME ${PATH} $(touch /tmp/owned) `touch /tmp/owned`; rm -rf x & true | false > /tmp/owned < /dev/null \ ! * ? [a-z] {1,2} ~root #x'
# shellcheck disable=SC2016
awkward 32-nagios-macros 'CRITICAL - costs $5 or $$5, $HOSTNAME$ and $USER1$ of 100%'
awkward 33-markup 'CRITICAL - <b>bold</b> &amp; &lt;script&gt; <script>alert("1")</script> ]]> <!-- x'
# shellcheck disable=SC1003
awkward 34-backslashes 'CRITICAL - C:\Windows\new\table\u0041 \" \\ \\\\ ends with \'
awkward 35-json 'CRITICAL - {"status":"red","nodes":[1,2,3],"why":null,"path":"a\/b\n"}'
awkward 36-utf8 'CRITICAL - Köln → 日本語 ñ Ω 🔥 é (e+U+0301), zero-width:​|'
awkward 37-latin1 "$(printf 'CRITICAL - Festplatte voll: Gr\366\337e 99 %%, caf\351, \244\200')"
awkward 38-tabs-and-controls "$(printf 'CRITICAL -\ttab\tand\rreturn, bell \a, escape \033[31mred\033[0m, backspace \b, DEL \177')"
# shellcheck disable=SC2016
awkward 39-many-lines "$(printf 'CRITICAL - 3 of 4 checks failed|ok=1 failed=3\nline 2: "disk" is full\n\tline 3, indented, 100%% of $5\n\nline 5 after an empty one\nliteral \\n stays? é\nlast line|ms=12;20;30\nmore=4')"
awkward 40-percent-perfdata "CRITICAL - 97% used|'C:\\ used'=97%;80;90 'it''s a label'=1 x=1;;;;"
awkward 41-smtp-dot "$(printf 'CRITICAL - the body follows\n.\n..\n.QUIT\nFrom nobody\nSubject: forged\nBcc: someone@example.org')"
awkward 42-header-injection "$(printf 'CRITICAL - x\rBcc: someone@example.org\r\rbody')"
awkward 43-semicolons 'CRITICAL - a;b;;c; d : e'
awkward 44-empty ''
awkward 45-only-perfdata '|time=10s'
awkward 46-spaces '   CRITICAL   with   spaces   '
awkward 47-long-line "CRITICAL - $(printf 'word%04d ' $(seq 1 1200))"
awkward 48-long-text "$(printf 'CRITICAL - 8 KB of lines\n'; for i in $(seq 1 160); do printf 'line %03d: /dev/sd%03d is at 9%d%% of 100 GB\n' "$i" "$i" $((i % 10)); done)"
# shellcheck disable=SC1003
awkward 49-backslashes-in-lines "$(printf '%s\n' 'CRITICAL - see below' 'C:\temp\new' 'two \\ of them \' 'end')"
label 50-comment-custom
# shellcheck disable=SC2016
nagios notify web01/HTTP 'Zoë "Z" O'\''Neil' 'it'\''s <fine>; see $HOME & `id` | 100% \n über'
got 2
end

# Both contacts get the same; keep the second one only where it teaches something.
only oncall '[345]?-*'
only oncall '1?-*'
only oncall '0[235678]-*'
only oncall '2[234]-*'
drop '2[34]-*.problem-*'
drop '2[34]-*.recovery-*'
