package account

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
)

const (
	// MaxRoster is the largest file of accounts that is taken, in bytes.
	MaxRoster   = 1 << 20
	maxAccounts = 1000
)

// Row is an account of a file.
type Row struct {
	// Line is that of the file, from 1, which is the columns'.
	Line int
	NewUser
	// Made is nil in a dry run.
	Made *Made
}

// LineError is what is wrong with a line of a file.
type LineError struct {
	Line int
	// Column is empty when it is the whole line.
	Column, Message string
}

// columns are those that a file may have.
var columns = []string{
	"username", "email", "nickname", "role", "expiresAt",
	"maxContainers", "maxCpu", "maxMemory", "maxGpu", "maxImages", "maxVolumes", "maxDisk",
}

// Import makes the accounts of a CSV file, all or none; for administrators. What
// is wrong with lines is told for all of them at once, and then nothing is made.
func (s *Service) Import(ctx context.Context, content []byte, dryRun bool) ([]Row, []LineError, error) {
	if _, err := auth.RequireAdmin(ctx); err != nil {
		return nil, nil, err
	}
	rows, wrong, err := s.parse(content)
	if err != nil {
		return nil, nil, err
	}
	taken, err := s.takenNames(ctx, s.Client, rows)
	if err != nil {
		return nil, nil, err
	}
	wrong = append(wrong, taken...)
	slices.SortStableFunc(wrong, func(a, b LineError) int { return a.Line - b.Line })
	if len(wrong) > 0 || dryRun {
		if len(wrong) > 0 {
			rows = nil
		}
		return rows, wrong, nil
	}
	hashes := make([]string, len(rows))
	for i := range rows {
		rows[i].Made = &Made{Password: oneTimePassword()}
		if hashes[i], err = s.hashing.hash(ctx, rows[i].Made.Password); err != nil {
			return nil, nil, err
		}
	}
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		for i := range rows {
			if rows[i].Made.User, err = s.make(ctx, tx, rows[i].NewUser, hashes[i], "account.import"); err != nil {
				if f := fault.Of(err); f.Code == fault.Conflict { // somebody took it in the meantime
					return fault.New(fault.Conflict, "Line %d: %s Nothing was imported.", rows[i].Line, f.Message).With("field", f.Details["field"])
				}
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for i := range rows {
		rows[i].Made.User = rows[i].Made.User.Unwrap()
		s.tell(rows[i].Made.User.ID, live.Created)
	}
	return rows, nil, nil
}

// takenNames are the names and addresses of rows that others have.
func (s *Service) takenNames(ctx context.Context, client *ent.Client, rows []Row) ([]LineError, error) {
	var wrong []LineError
	for some := range slices.Chunk(rows, 200) {
		var names, addresses []string
		for _, r := range some {
			names, addresses = append(names, strings.ToLower(r.Username)), append(addresses, strings.ToLower(r.Email))
		}
		others, err := client.User.Query().Where(user.Or(user.UsernameKeyIn(names...), user.EmailKeyIn(addresses...))).All(ctx)
		if err != nil {
			return nil, err
		}
		for i, r := range some {
			for _, u := range others {
				if u.UsernameKey == names[i] {
					wrong = append(wrong, LineError{r.Line, "username", fmt.Sprintf("The user name %s is taken.", r.Username)})
				}
				if u.EmailKey != nil && *u.EmailKey == addresses[i] {
					wrong = append(wrong, LineError{r.Line, "email", fmt.Sprintf("There is an account with the address %s already.", r.Email)})
				}
			}
		}
	}
	return wrong, nil
}

func badFile(rule, format string, args ...any) error {
	var check fault.Check
	check.That(false, "csv", rule, format, args...)
	return check.Err()
}

// decodeText gives the text of a file in UTF-8. Another encoding is named and
// refused: a guess would put wrong names into accounts.
func decodeText(content []byte) (string, error) {
	if len(content) > MaxRoster {
		return "", badFile("size", "A file has at most %d bytes.", MaxRoster)
	}
	for mark, name := range map[string]string{"\xff\xfe": "UTF-16", "\xfe\xff": "UTF-16"} {
		if bytes.HasPrefix(content, []byte(mark)) {
			return "", badFile("encoding", "The file is in %s. Save it as CSV in UTF-8.", name)
		}
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if bytes.ContainsRune(content, 0) {
		return "", badFile("encoding", "The file is no text: it may be a spreadsheet, or in UTF-16. Save it as CSV in UTF-8.")
	}
	if !utf8.Valid(content) {
		line := 1 + bytes.Count(content[:firstInvalid(content)], []byte("\n"))
		return "", badFile("encoding", "The file is not in UTF-8, as line %d shows; it may be in GBK or Latin-1. Save it as \"CSV UTF-8\".", line)
	}
	return string(content), nil
}

func firstInvalid(content []byte) int {
	at := 0
	for at < len(content) {
		r, size := utf8.DecodeRune(content[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
	return at
}

// parse reads rows and says all that is wrong with their lines.
func (s *Service) parse(content []byte) (rows []Row, wrong []LineError, err error) {
	text, err := decodeText(content)
	if err != nil {
		return nil, nil, err
	}
	reader := csv.NewReader(strings.NewReader(text))
	reader.FieldsPerRecord, reader.TrimLeadingSpace = -1, true
	first, _, _ := strings.Cut(text, "\n")
	for _, separator := range ";\t" { // as spreadsheets of many countries write
		if !strings.Contains(first, ",") && strings.ContainsRune(first, separator) {
			reader.Comma = separator
		}
	}
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, badFile("required", "The file is empty.")
	}
	if err != nil {
		return nil, nil, badFile("format", "The first line is no CSV: %s.", unquoted(err))
	}
	at, err := places(header)
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]map[string]int{"username": {}, "email": {}}
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			var bad *csv.ParseError
			line := 0
			if errors.As(err, &bad) {
				line = bad.StartLine
			}
			return nil, append(wrong, LineError{line, "", "This is no CSV: " + unquoted(err) + "."}), nil
		}
		line, _ := reader.FieldPos(0)
		if len(rows) == maxAccounts {
			return nil, nil, badFile("size", "At most %d accounts at once.", maxAccounts)
		}
		if len(fields) != len(header) {
			wrong = append(wrong, LineError{line, "", fmt.Sprintf("This line has %d fields, and the first has %d columns.", len(fields), len(header))})
			continue
		}
		row, bad := s.row(line, func(column string) string {
			if i, ok := at[column]; ok {
				return strings.TrimSpace(fields[i])
			}
			return ""
		})
		for column, value := range map[string]string{"username": row.Username, "email": row.Email} {
			key := strings.ToLower(value)
			if earlier, double := seen[column][key]; double && value != "" {
				bad = append(bad, LineError{line, column, fmt.Sprintf("%s stands in line %d too.", value, earlier)})
			} else {
				seen[column][key] = line
			}
		}
		slices.SortStableFunc(bad, func(a, b LineError) int {
			return slices.Index(columns, a.Column) - slices.Index(columns, b.Column)
		})
		wrong = append(wrong, bad...)
		rows = append(rows, row)
	}
	if len(rows) == 0 && len(wrong) == 0 {
		return nil, nil, badFile("required", "The file has columns and no accounts.")
	}
	return rows, wrong, nil
}

// unquoted is what encoding/csv says of a line, without its place.
func unquoted(err error) string {
	var bad *csv.ParseError
	if errors.As(err, &bad) {
		return bad.Err.Error()
	}
	return "it cannot be read"
}

// places are where the columns stand, whatever the case of their names.
func places(header []string) (map[string]int, error) {
	at := map[string]int{}
	var check fault.Check
	for i, name := range header {
		name = strings.TrimSpace(name)
		known := slices.IndexFunc(columns, func(c string) bool { return strings.EqualFold(c, name) })
		if known < 0 {
			check.That(false, "csv", "columns", "The column %q is none of %s.", cutName(name), strings.Join(columns, ", "))
			continue
		}
		_, double := at[columns[known]]
		check.That(!double, "csv", "columns", "The column %s stands twice.", columns[known])
		at[columns[known]] = i
	}
	for _, name := range []string{"username", "email"} {
		_, there := at[name]
		check.That(there, "csv", "columns", "The column %s is missing.", name)
	}
	return at, check.Err()
}

func cutName(name string) string {
	if runes := []rune(name); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return name
}

// row reads the fields of one line.
func (s *Service) row(line int, field func(string) string) (Row, []LineError) {
	row := Row{Line: line}
	row.Username, row.Email, row.Role = field("username"), field("email"), user.RoleUser
	var wrong []LineError
	bad := func(column, format string, args ...any) {
		wrong = append(wrong, LineError{line, column, fmt.Sprintf(format, args...)})
	}
	if text := field("nickname"); text != "" {
		row.Nickname = &text
	}
	if text := field("role"); text != "" {
		row.Role = user.Role(strings.ToUpper(text))
		if user.RoleValidator(row.Role) != nil {
			bad("role", "A role is USER or ADMIN, not %q.", cutName(text))
		}
	}
	if text := field("expiresAt"); text != "" {
		at, err := parseEnd(text)
		if err != nil {
			bad("expiresAt", "An end is a day such as 2026-12-31 or an instant, not %q.", cutName(text))
		} else {
			row.Expires = &at
		}
	}
	var limits Limits
	count := func(column string, to **int) {
		if text := field(column); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				bad(column, "%s takes a number, not %q.", column, cutName(text))
			}
			*to = &n
		}
	}
	size := func(column string, to **record.Bytes) {
		if text := field(column); text != "" {
			n, err := record.ParseBytes(text)
			if err != nil {
				bad(column, "%s takes bytes such as 4GiB, not %q.", column, cutName(text))
			}
			*to = &n
		}
	}
	count("maxContainers", &limits.MaxContainers)
	count("maxGpu", &limits.MaxGPU)
	count("maxImages", &limits.MaxImages)
	count("maxVolumes", &limits.MaxVolumes)
	size("maxMemory", &limits.MaxMemory)
	size("maxDisk", &limits.MaxDisk)
	if text := field("maxCpu"); text != "" {
		cores, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(cores) {
			bad("maxCpu", "maxCpu takes a number of cores, not %q.", cutName(text))
		} else {
			limits.MaxCPU = &cores
		}
	}
	if limits != (Limits{}) {
		row.Quota = &limits
	}
	var check fault.Check
	row.check(&check, s.Now())
	for _, err := range []error{check.Err(), quota.Check(limits)} {
		if err == nil {
			continue
		}
		for _, v := range fault.Of(err).Violations {
			if !slices.ContainsFunc(wrong, func(e LineError) bool { return e.Column == v.Field }) {
				bad(v.Field, "%s", v.Message)
			}
		}
	}
	return row, wrong
}

// parseEnd reads an instant, or a day, whose end is meant.
func parseEnd(text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	return at.UTC(), err
}
