#!/usr/bin/env bash
# Proves that the tests of authorisation would notice: in a copy of the
# repository it takes away one @access, and opens or drops one row of
# visibility, one after the other, and expects red each time.
#
#   scripts/mutate-authorisation.sh             everything, some minutes
#   scripts/mutate-authorisation.sh Query.users Image   only these
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -xf - -C "$work"

# The copy can do without one thing, which a variable names: so two programs
# serve all mutations, and each takes seconds.
patch_in() { # FILE LINE-PATTERN TEXT: TEXT goes behind the only line that matches
  local file=$work/$1
  if [ "$(grep -cE "$2" "$file")" != 1 ]; then
    echo "$1 has not exactly one line $2: this script must follow the code" >&2
    exit 2
  fi
  awk -v pattern="$2" -v text="$3" '{ print } $0 ~ pattern { print text }' "$file" >"$file.new"
  mv "$file.new" "$file"
}
patch_in server/graphql.go '^func access[(]ctx' \
  'if f := graphql.GetFieldContext(ctx); f.Object+"."+f.Field.Name == os.Getenv("WITHOUT_ACCESS") { return next(ctx) }'
patch_in internal/store/visibility.go '^	r, ok := rules\[typ\]$' \
  'everything := func(string) func(*sql.Selector) { return func(*sql.Selector) {} }
   if typ == os.Getenv("OPEN_SEE") { r.see = everything }
   if typ == os.Getenv("OPEN_CHANGE") { r.change = everything }
   if typ == os.Getenv("WITHOUT_ROW") { r, ok = rule{}, false }'
for file in server/graphql.go internal/store/visibility.go; do
  awk '{ print } /^import \($/ { print "\t\"os\"" }' "$work/$file" >"$work/$file.new"
  mv "$work/$file.new" "$work/$file"
done
(cd "$work" && go test -c -o server.test ./server && go test -c -o store.test ./internal/store)

matrix() { (cd "$work/server" && ../server.test -test.run "$1" >"$work/log" 2>&1); }
rows() { (cd "$work/internal/store" && ../../store.test -test.run 'Visibility|Row|Others|Adds' >"$work/log" 2>&1); }

everything() { rows && matrix 'TestMatrix|TestRefusedReachNothing|TestEdgesShowNobody'; }

echo "Without a mutation:"
everything || { cat "$work/log"; echo "red already" >&2; exit 1; }
echo "  green"

wanted() { # NAME ARGS…: whether it was asked for
  local name=$1 each
  shift
  [ $# = 0 ] && return 0
  for each; do [ "$each" = "$name" ] && return 0; done
  return 1
}
red=0 green=()
expect_red() { # WHAT COMMAND…
  local what=$1
  shift
  if "$@"; then
    green+=("$what")
    echo "  GREEN  $what"
  else
    red=$((red + 1))
    echo "  red    $what"
  fi
}

# A field that is everybody's loses nothing with its @access but the directive,
# which TestEveryRootFieldSaysWhoMayUseIt asks for.
fields=$(awk '
  /^type (Query|Mutation|Subscription) \{/ { kind = $2; next }
  /^}/ { kind = "" }
  kind != "" && /^  [a-z][A-Za-z]*[(:]/ { name = $1; sub(/[(:].*/, "", name) }
  kind != "" && /@access\(to: (SIGNED_IN|ADMIN)\)/ { print kind "." name }' schema.graphql)
echo "Without one @access:"
for field in $fields; do
  wanted "$field" "$@" || continue
  export WITHOUT_ACCESS=$field
  expect_red "$field" matrix "^(TestMatrix|TestRefusedReachNothing)\$/^fields\$/^$field\$"
  unset WITHOUT_ACCESS
done

echo "With one row of visibility dropped or opened:"
for type in $(sed -nE 's/^	ent\.Type([A-Za-z]+): .*/\1/p' internal/store/visibility.go); do
  wanted "$type" "$@" || continue
  for mutation in WITHOUT_ROW OPEN_SEE OPEN_CHANGE; do
    export "$mutation=$type"
    expect_red "$type $mutation" everything
    unset "$mutation"
  done
done

echo "$red mutations red, ${#green[@]} green"
[ ${#green[@]} = 0 ] || { printf 'nobody noticed: %s\n' "${green[@]}" >&2; exit 1; }
