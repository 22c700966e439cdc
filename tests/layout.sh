#!/bin/sh
# Holds the structure: includes point one way, nothing but sim/cli prints or exits, nothing stands outside the layout.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0
complain() { echo "layout: $1"; bad=1; }

# A folder may include only what stands left of it.
forbid() { # folder, regular expression of includes it must not have
    found=$(grep -nE "^#include \"($2)" "$1"/*.c "$1"/*.h 2>/dev/null)
    [ -z "$found" ] || complain "$1 must not include:
$found"
}
forbid configs/reader 'models/|hw/|sim/|reports/'
forbid models 'hw/|sim/|reports/'
forbid hw 'models/|sim/|reports/'
forbid sim/engine 'models/|hw/|sim/(network|training|serving|planning|cli)/|reports/|configs/reader/(scenario|reader|claims)'
forbid sim/network 'sim/(training|serving|planning|cli)/|reports/'
forbid sim/training 'sim/(serving|planning|cli)/|reports/'
forbid sim/serving 'sim/(training|planning|cli)/|reports/'
forbid sim/planning 'sim/cli/|reports/'
forbid reports 'sim/cli/'

found=$(grep -nE '\b(printf|puts|putchar|exit|abort)\(' configs/reader/*.c models/*.c hw/*.c sim/engine/*.c sim/training/*.c sim/serving/*.c sim/planning/*.c reports/*.c 2>/dev/null | grep -vE 'f(printf|puts)|vprintf|_exit')
[ -z "$found" ] || complain "library code prints or exits:
$found"

for entry in $(git ls-files 2>/dev/null | cut -d/ -f1 | sort -u); do
    case $entry in .* | LICENSE | Makefile | README.md | sim | models | hw | reports | configs | tests) ;;
    *) complain "'$entry' stands outside the layout" ;;
    esac
done
exit $bad
