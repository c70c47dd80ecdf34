#!/usr/bin/env bash
# Checks the Markdown pages: every relative link leads to a file, every anchor to a heading, and every page of docs/ is in
# docs/SUMMARY.md.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

bad=0

complain() {
    say "$1: $2"
    bad=1
}

# The anchors of a page as renderers make them: lower case, without punctuation, hyphens for spaces.
anchors() {
    sed -n 's/^##* //p' "$1" | tr '[:upper:]' '[:lower:]' | sed -e "s/[^[:alnum:] _-]//g" -e 's/ /-/g'
}

while IFS= read -r page; do
    while IFS= read -r link; do
        case $link in
        http://* | https://* | '') continue ;;
        esac
        file=${link%%#*}
        target=$page
        if [ -n "$file" ]; then target=$(dirname "$page")/$file; fi
        if [ ! -e "$target" ]; then
            complain "$page" "$link leads nowhere"
        elif [ "$link" != "$file" ] && ! anchors "$target" | grep -qxF -- "${link#*#}"; then
            complain "$page" "$link names no heading"
        fi
    done < <(grep -o '](\([^)]*\))' "$page" | sed -e 's/^](//' -e 's/)$//')
done < <(find . -name '*.md' -not -path './target/*' -not -path './.tools/*' -not -path './.git/*')

while IFS= read -r page; do
    grep -qF "(${page#docs/})" docs/SUMMARY.md || complain "$page" "is not in docs/SUMMARY.md"
done < <(find docs -name '*.md' -not -name SUMMARY.md)

exit $bad
