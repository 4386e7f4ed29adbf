#!/bin/sh
# Runs the unit tests given as arguments and adds up.  A test that passes costs
# one line; one that fails is shown whole.
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1

good=0 bad=0 cases=0
for t; do
	log=$t.log
	if timeout 120 "$t" >"$log" 2>&1; then
		n=$(sed -n 's/.*PASSED *\] *\([0-9]*\) test.*/\1/p' "$log" |
		    awk '{ n += $1 } END { print n + 0 }')
		echo "ok   $(basename "$t"): $n cases"
		good=$((good + 1)) cases=$((cases + n))
	else
		echo "FAIL $(basename "$t"): exit status $?"
		tail -n 60 "$log"
		bad=$((bad + 1))
	fi
done
echo "unit: $good programs passed with $cases cases, $bad failed"
[ "$bad" -eq 0 ]
