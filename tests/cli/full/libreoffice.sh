#!/bin/sh
# Recalculates the workbook's formulas with LibreOffice: they must give the numbers that the program wrote beside them.
# usage: libreoffice.sh PROGRAM
. tests/cli/lib.sh

for tool in soffice xmllint; do
    command -v $tool >/dev/null 2>&1 || {
        echo "skipped: no $tool to recalculate the workbook with (apt-get install libreoffice-calc-nogui libxml2-utils)"
        exit 0
    }
done

# A private profile: 0 recalculates every file on loading it, 1 never does.
profile() { # name, mode
    mkdir -p "$work/$1/user"
    {
        echo '<?xml version="1.0" encoding="UTF-8"?>'
        echo '<oor:items xmlns:oor="http://openoffice.org/2001/registry">'
        for key in OOXMLRecalcMode ODFRecalcMode; do
            echo "<item oor:path=\"/org.openoffice.Office.Calc/Formula/Load\"><prop oor:name=\"$key\" oor:op=\"fuse\"><value>$2</value></prop></item>"
        done
        echo '</oor:items>'
    } >"$work/$1/user/registrymodifications.xcu"
}

convert() { # profile, file, folder, extension
    timeout 180 soffice --headless --norestore "-env:UserInstallation=file://$work/$1" --convert-to "$4" \
        --outdir "$work/$3" "$2" >"$work/out" 2>"$work/err" </dev/null
    [ -s "$work/$3/gpt4-leak.$4" ] || fail "LibreOffice does not convert $2"
}

# What each formula of a sheet shows, in the order of the cells: a number a line, "none" for an error or a text.
formulas="//*[local-name()='table'][@*[local-name()='name']='SHEET']//*[local-name()='table-cell'][@*[local-name()='formula']]"
numbers() { # folder, sheet
    cells=$(echo "$formulas" | sed "s/SHEET/$2/")
    xmllint --huge --xpath "$cells" "$work/$1/gpt4-leak.fods" 2>/dev/null | sed 's/<table:table-cell/\n&/g' |
        grep '^<table:table-cell' | sed 's/.* office:value="\([^"]*\)".*/\1/; t; s/.*/none/'
}

run 0 audit gpt4-leak --quick --out "$work/report"
[ -s "$work/report/gpt4-leak.xlsx" ] || fail "no workbook"
profile always 0
profile never 1
convert never "$work/report/gpt4-leak.xlsx" cached fods
convert always "$work/report/gpt4-leak.xlsx" recalculated fods

# The proof that this recalculates at all: the same sheets with 999 beside every formula.
mkdir -p "$work/wrong"
sed 's/\(<table:table-cell[^>]* table:formula="[^"]*"[^>]* office:value="\)[^"]*"/\1999"/g' \
    "$work/cached/gpt4-leak.fods" >"$work/wrong/gpt4-leak.fods"
convert never "$work/wrong/gpt4-leak.fods" wrong xlsx
convert never "$work/wrong/gpt4-leak.xlsx" echoed fods
numbers echoed Cost | grep -qvx 999 && fail "the wrong workbook still has right numbers"
convert always "$work/wrong/gpt4-leak.xlsx" again fods

for sheet in Cost Summary; do
    numbers cached $sheet >"$work/numbers.cached"
    least=30
    [ $sheet = Summary ] && least=10
    [ "$(wc -l <"$work/numbers.cached")" -ge $least ] || fail "$sheet has fewer than $least formulas"
    for folder in recalculated again; do
        numbers $folder $sheet >"$work/numbers.$folder"
        [ "$(wc -l <"$work/numbers.$folder")" -eq "$(wc -l <"$work/numbers.cached")" ] ||
            fail "$sheet, $folder: another number of formulas"
        paste "$work/numbers.cached" "$work/numbers.$folder" | awk -v sheet=$sheet '
            function size(x) { return x < 0 ? -x : x }
            $1 == "none" || $2 == "none" || size($1 - $2) > 1e-9 * size($1) {
                printf "%s, formula %d: %s written, %s recalculated\n", sheet, NR, $1, $2
                bad = 1
            }
            END { exit bad }' >"$work/out" || fail "$sheet, $folder: recalculated numbers differ"
    done
done

[ "$failures" -eq 0 ] && echo "LibreOffice recalculates the workbook to the numbers written"
[ "$failures" -eq 0 ]
