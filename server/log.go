package server

import (
	"io"
	"log/slog"
	"os"
)

// NewLogger writes the operator's log to w: text where w is a terminal, JSON
// elsewhere, unless the setting says otherwise.
func NewLogger(w io.Writer, setting Logging) *slog.Logger {
	options := &slog.HandlerOptions{Level: setting.Level}
	if setting.Format == "text" || setting.Format == "" && terminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
