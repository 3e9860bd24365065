package account

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // kinds of pictures that are taken, as are those below
	"image/jpeg"
	_ "image/png"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

const (
	// MaxAvatar is the largest picture that is taken, in bytes.
	MaxAvatar = 5 << 20
	// maxPixels bounds the memory that decoding takes: up to 16 bytes each, for a
	// progressive JPEG.
	maxPixels = 16_000_000
	// avatarSide is that of the square that is kept.
	avatarSide    = 256
	avatarQuality = 88
)

// AvatarName is the form of the names of pictures' files: by their content, so
// that what one name shows never changes.
var AvatarName = regexp.MustCompile(`^[0-9a-f]{64}\.jpg$`)

// SetAvatar makes a picture of the viewer's out of an image file.
func (s *Service) SetAvatar(ctx context.Context, file io.Reader) (*ent.User, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, MaxAvatar+1))
	if err != nil {
		return nil, badPicture("size", "The file did not come whole.")
	}
	// one at a time: a picture of the largest size takes 250 MB to decode
	select {
	case s.drawing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	square, err := redraw(content)
	<-s.drawing
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(square)
	name := hex.EncodeToString(sum[:]) + ".jpg"
	return s.putAvatar(ctx, v.UserID, &name, square)
}

// RemoveAvatar removes the viewer's picture.
func (s *Service) RemoveAvatar(ctx context.Context) (*ent.User, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	return s.putAvatar(ctx, v.UserID, nil, nil)
}

// putAvatar keeps the new file, then names it in the row, then drops the old
// file. The files of one content are one: the lock keeps a name that one person
// gives up from going while another takes it.
func (s *Service) putAvatar(ctx context.Context, id string, name *string, content []byte) (*ent.User, error) {
	s.avatars.Lock()
	defer s.avatars.Unlock()
	if name != nil {
		if err := s.keep(*name, content); err != nil {
			return nil, fmt.Errorf("keep a picture: %w", err)
		}
	}
	var old *string
	row, err := s.change(ctx, id, "account.avatar", func(_ *ent.Client, u *ent.User, up *ent.UserUpdateOne) ([]string, error) {
		old = u.Avatar
		switch {
		case name != nil && (old == nil || *old != *name):
			up.SetAvatar(*name)
			return []string{"new picture"}, nil
		case name == nil && old != nil:
			up.ClearAvatar()
			return []string{"no picture"}, nil
		}
		old = nil
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	if old != nil {
		if err := s.removeFile(auth.AsSystem(ctx), s.Client, *old, id); err != nil {
			s.Log.WarnContext(ctx, "an old picture stays", "error", err)
		}
	}
	return row, nil
}

func (s *Service) keep(name string, content []byte) error {
	if err := os.MkdirAll(s.Avatars, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(s.Avatars, ".new-*")
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(s.Avatars, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// dropAvatar removes a picture's file before the row that names it.
func (s *Service) dropAvatar(ctx context.Context, client *ent.Client, name, owner string) error {
	s.avatars.Lock()
	defer s.avatars.Unlock()
	return s.removeFile(ctx, client, name, owner)
}

// removeFile removes a picture's file unless somebody else has the same.
func (s *Service) removeFile(sys context.Context, client *ent.Client, name, owner string) error {
	shared, err := client.User.Query().Where(user.Avatar(name), user.IDNEQ(owner)).Exist(sys)
	if err != nil || shared {
		return err
	}
	if err := os.Remove(filepath.Join(s.Avatars, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func badPicture(rule, message string) error {
	var check fault.Check
	check.That(false, "file", rule, "%s", message)
	return check.Err()
}

// redraw makes the square of a picture. What comes out was drawn here: nothing
// of the file but its colours is in it.
func redraw(content []byte) ([]byte, error) {
	if len(content) > MaxAvatar {
		return nil, badPicture("size", fmt.Sprintf("A picture has at most %d MiB.", MaxAvatar>>20))
	}
	config, kind, err := image.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return nil, badPicture("format", "That is not a picture in PNG, JPEG, GIF or WebP.")
	}
	if config.Width <= 0 || config.Height <= 0 || config.Width > maxPixels/config.Height {
		return nil, badPicture("pixels", fmt.Sprintf("A picture has at most %d megapixels; this has %d × %d.", maxPixels/1_000_000, config.Width, config.Height))
	}
	picture, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		return nil, badPicture("format", "This "+kind+" file is damaged.")
	}
	bounds := picture.Bounds()
	side := min(bounds.Dx(), bounds.Dy())
	corner := bounds.Min.Add(image.Pt((bounds.Dx()-side)/2, (bounds.Dy()-side)/2))
	square := image.NewRGBA(image.Rect(0, 0, avatarSide, avatarSide))
	draw.Draw(square, square.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src) // behind what is transparent
	draw.ApproxBiLinear.Scale(square, square.Bounds(), picture, image.Rectangle{Min: corner, Max: corner.Add(image.Pt(side, side))}, draw.Over, nil)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, square, &jpeg.Options{Quality: avatarQuality}); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
