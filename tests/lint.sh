#!/bin/sh
# lint - what the compiler does not check: who may include whom, banned calls,
# sizes, header guards, indentation, unfinished marks.  Prints one line per
# finding, "file:line: text"; warnings are counted, and shown with -w.
#
#   tests/lint.sh [-w] [FILE...]	default: every C file of ours
cd "$(dirname "$0")/.." || exit 2

show=0
if [ "${1-}" = -w ]; then
	show=1
	shift
fi

if [ $# -eq 0 ]; then
	# shellcheck disable=SC2046
	set -- $(find lib applets tests/unit tests/fuzz tests/conformance \
	    tests/bench -name '*.[ch]' 2>/dev/null | sort)
fi

awk -v show="$show" '
# The house: a module may include lower ranks and its own folder.
function rank_of(path,	p)
{
	p = path
	sub(/^lib\//, "", p)
	sub(/\.[ch]$/, "", p)
	if (p in rank)
		return rank[p]
	sub(/\/.*/, "", p)
	return p in rank ? rank[p] : -1
}

function folder_of(path,	p)
{
	p = path
	sub(/^lib\//, "", p)
	sub(/\/[^\/]*$/, "", p)
	return p
}

function report(kind, text)
{
	if (kind != "w" || show)
		printf "%s:%d: %s%s\n", FILENAME, FNR,
		    kind == "w" ? "warning: " : "", text
	if (kind == "w")
		warnings++
	else
		errors++
}

# Comments and the inside of literals become blanks.
function code_of(line,	out, c, two, n, i)
{
	out = ""
	n = length(line)
	for (i = 1; i <= n; i++) {
		c = substr(line, i, 1)
		two = substr(line, i, 2)
		if (in_comment) {
			if (two == "*/") {
				in_comment = 0
				i++
			}
			continue
		}
		if (two == "/*") {
			in_comment = 1
			i++
			continue
		}
		if (two == "//")
			break
		if (c == "\"" || c == "\047") {
			for (i++; i <= n && substr(line, i, 1) != c; i++)
				if (substr(line, i, 1) == "\\")
					i++
			out = out c c
			continue
		}
		out = out c
	}
	return out
}

function check_include(code, line,	to, mine, theirs)
{
	if (code !~ /^[ \t]*#[ \t]*include[ \t]*"/)
		return
	to = line
	sub(/^[^"]*"/, "", to)
	sub(/".*/, "", to)
	if (FILENAME !~ /^(lib|applets)\//)
		return
	if (to ~ /^\.\.?\// || to !~ /\//) {
		report("e", "include by path from the top, not \"" to "\"")
		return
	}
	if (to ~ /^gen\//)
		return
	mine = rank_of(FILENAME)
	theirs = rank_of(to)
	if (theirs < 0)
		report("e", "include of unknown folder \"" to "\"")
	else if (folder_of(to) != folder_of(FILENAME) && theirs >= mine)
		report("e", "rank " mine " includes rank " theirs \
		    ": \"" to "\"")
}

function check_banned(code,	name)
{
	if (code ~ /^[ \t]*#/)
		return
	while (match(code, /[A-Za-z_0-9.>]+[ \t]*\(/)) {
		name = substr(code, RSTART, RLENGTH)
		code = substr(code, RSTART + RLENGTH)
		sub(/[ \t]*\($/, "", name)
		if (name in banned)
			report("e", name "() is banned")
	}
}

function width_of(line,	n, w, i)
{
	n = split(line, part, "\t")
	for (i = 1; i < n; i++)
		w += length(part[i]) + 8 - (w + length(part[i])) % 8
	return w + length(part[n])
}

function check_layout(line)
{
	if (line ~ /[ \t]$/)
		report("e", "space at the end of the line")
	if (line ~ /^\t* +\t/ || line ~ /^\t*        /)
		report("e", "spaces where tabs belong")
	if (width_of(line) > 80)
		report("w", "longer than 80 columns")
	if (line ~ mark)
		report("e", "unfinished mark")
}

function guard_of(path,	g)
{
	g = path
	sub(/^lib\//, "", g)
	gsub(/[^A-Za-z0-9]/, "_", g)
	return toupper(g)
}

function end_file()
{
	if (last_file == "")
		return
	if (last_line > 800 && !exempt)
		report_end("e", "file of " last_line " lines, limit 800")
	if (last_file ~ /\.h$/ && !guarded)
		report_end("e", "header guard must be " guard_of(last_file))
}

function report_end(kind, text)
{
	printf "%s: %s\n", last_file, text
	errors++
}

BEGIN {
	n = split("base 0 gen 0 conf 1 sftp 1 loop 1 auth/jwt 1 net 2 proc 2 " \
	    "rpc 3 auth 3 auth/gate 4 workspace 4 svc 5 applets 6", t, " ")
	for (i = 1; i < n; i += 2)
		rank[t[i]] = t[i + 1]
	n = split("strcpy strcat sprintf vsprintf atoi atol gets strtok " \
	    "alloca system popen", t, " ")
	for (i = 1; i <= n; i++)
		banned[t[i]] = 1
	mark = "(^|[^A-Za-z_])(X" "XX|TO" "DO|FIX" "ME)([^A-Za-z_]|$)"
}

FNR == 1 {
	end_file()
	last_file = FILENAME
	in_comment = in_body = guarded = exempt = 0
}

{
	last_line = FNR
	check_layout($0)
	was_comment = in_comment
	code = code_of($0)
	if (!was_comment) {
		check_include(code, $0)
		check_banned(code)
	}
	if (FILENAME ~ /\.h$/ && $0 == "#define " guard_of(FILENAME))
		guarded = 1
	if ($0 == "{") {
		in_body = 1
		body = FNR
	}
	if (in_body && $0 == "}") {
		in_body = 0
		size = FNR - body - 1
		if (size > 100)
			report("e", "function of " size " lines, limit 100")
		else if (size > 60)
			report("w", "function of " size " lines, aim 25")
	}
}

END {
	end_file()
	printf "lint: %d findings, %d warnings\n", errors, warnings
	exit errors > 0
}
' "$@"
bad=$?

for f in build.sh .ci/run tests/*.sh tests/*/*.sh; do
	[ ! -f "$f" ] || bash -n "$f" || bad=1
done
if command -v git >/dev/null && [ -e .git ] &&
    git grep -nwE 'X''XX|TO''DO|FIX''ME' -- '*.py' '*.sh' '*.proto' '*.md' Makefile; then
	echo "lint: unfinished marks"
	bad=1
fi
exit "$bad"
