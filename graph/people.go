package graph

import (
	"context"
	"errors"
	"io"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/quotarequest"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/graph/scalar"
	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/store"
)

// maxMany is how many of one kind one mutation changes at most.
const maxMany = store.MaxPage

func userPayload(row *ent.User, err error) (*generated.UserPayload, error) {
	if err != nil {
		return nil, err
	}
	return &generated.UserPayload{User: row}, nil
}

// UpdateProfile resolves Mutation.updateProfile.
func (r mutation) UpdateProfile(ctx context.Context, in generated.UpdateProfileInput) (*generated.UserPayload, error) {
	p := account.Profile{Email: in.Email}
	if nickname, given := in.Nickname.ValueOK(); given {
		p.Nickname = orEmpty(nickname)
	}
	return userPayload(r.Account.UpdateProfile(ctx, p))
}

func orEmpty(text *string) *string {
	if text == nil {
		return new(string)
	}
	return text
}

// UploadAvatar resolves Mutation.uploadAvatar.
func (r mutation) UploadAvatar(ctx context.Context, file scalar.Upload) (*generated.UserPayload, error) {
	if err := file.Whole(); err != nil {
		var check fault.Check
		check.That(false, "file", "required", "A picture is sent as a multipart request: see the scalar Upload.")
		return nil, check.Err()
	}
	return userPayload(r.Account.SetAvatar(ctx, file.File))
}

// RemoveAvatar resolves Mutation.removeAvatar.
func (r mutation) RemoveAvatar(ctx context.Context) (*generated.UserPayload, error) {
	return userPayload(r.Account.RemoveAvatar(ctx))
}

// ChangePassword resolves Mutation.changePassword.
func (r mutation) ChangePassword(ctx context.Context, in generated.ChangePasswordInput) (*generated.UserPayload, error) {
	change := func(ctx context.Context) (*account.Signed, error) {
		return r.Account.ChangePassword(ctx, in.CurrentPassword, in.NewPassword)
	}
	if auth.Of(ctx).SessionID != "" {
		return signedIn(ctx, change)
	}
	signed, err := change(ctx)
	if err != nil {
		return nil, err
	}
	return &generated.UserPayload{User: signed.User}, nil
}

// DeleteAccount resolves Mutation.deleteAccount.
func (r mutation) DeleteAccount(ctx context.Context, password string) (*generated.UserPayload, error) {
	payload, err := userPayload(r.Account.DeleteOwn(ctx, password))
	if cookies, ok := CookiesOf(ctx); ok && err == nil {
		cookies.ClearSession()
	}
	return payload, err
}

// RestoreAccount resolves Mutation.restoreAccount.
func (r mutation) RestoreAccount(ctx context.Context, in generated.LoginInput) (*generated.UserPayload, error) {
	return signedIn(ctx, func(ctx context.Context) (*account.Signed, error) {
		return r.Account.Restore(ctx, in.Login, in.Password)
	})
}

// CreateAccessToken resolves Mutation.createAccessToken.
func (r mutation) CreateAccessToken(ctx context.Context, in generated.CreateAccessTokenInput) (*generated.AccessTokenPayload, error) {
	row, secret, err := r.Account.CreateToken(ctx, account.NewToken{Name: in.Name, Expires: in.ExpiresAt, ReadOnly: in.ReadOnly})
	if err != nil {
		return nil, err
	}
	return &generated.AccessTokenPayload{AccessToken: row, Secret: secret}, nil
}

// RevokeAccessToken resolves Mutation.revokeAccessToken.
func (r mutation) RevokeAccessToken(ctx context.Context, id string) (bool, error) {
	err := r.Account.RevokeToken(ctx, id)
	return err == nil, err
}

// CreateUser resolves Mutation.createUser.
func (r mutation) CreateUser(ctx context.Context, in generated.CreateUserInput) (*generated.UserPayload, error) {
	made, err := r.Account.Create(ctx, account.NewUser{
		Username: in.Username, Email: in.Email, Nickname: in.Nickname, Role: in.Role, Expires: in.ExpiresAt, Quota: in.Quota,
	})
	if err != nil {
		return nil, err
	}
	return &generated.UserPayload{User: made.User, OneTimePassword: &made.Password}, nil
}

func edit(in generated.UpdateUserInput) account.Edit {
	e := account.Edit{Profile: account.Profile{Email: in.Email}, Role: in.Role, Suspended: in.Suspended}
	if nickname, given := in.Nickname.ValueOK(); given {
		e.Nickname = orEmpty(nickname)
	}
	e.Expires, e.Ends = in.ExpiresAt.ValueOK()
	return e
}

// UpdateUser resolves Mutation.updateUser.
func (r mutation) UpdateUser(ctx context.Context, id string, in generated.UpdateUserInput) (*generated.UserPayload, error) {
	return userPayload(r.Account.Update(ctx, id, edit(in)))
}

// UpdateUsers resolves Mutation.updateUsers.
func (r mutation) UpdateUsers(ctx context.Context, ids []string, in generated.UpdateUserInput) ([]*generated.UserResult, error) {
	e := edit(in)
	var check fault.Check
	check.That(e.Email == nil && e.Nickname == nil, "input", "alike", "Names and addresses are changed one by one.")
	if err := check.Err(); err != nil {
		return nil, err
	}
	return each(ids, func(id string) (*ent.User, error) { return r.Account.Update(ctx, id, e) })
}

// each does one thing to several users; each result stands for itself.
func each(ids []string, do func(id string) (*ent.User, error)) ([]*generated.UserResult, error) {
	var check fault.Check
	check.That(len(ids) <= maxMany, "ids", "size", "At most %d at once.", maxMany)
	if err := check.Err(); err != nil {
		return nil, err
	}
	results := make([]*generated.UserResult, len(ids))
	for i, id := range ids {
		row, err := do(id)
		results[i] = &generated.UserResult{ID: id, User: row}
		if err != nil {
			f := fault.Of(err)
			if f.Code == fault.Internal {
				return nil, err
			}
			code := string(f.Code)
			results[i].User, results[i].Code, results[i].Message = nil, &code, &f.Message
		}
	}
	return results, nil
}

// ResetPassword resolves Mutation.resetPassword.
func (r mutation) ResetPassword(ctx context.Context, userID string) (*generated.ResetPasswordPayload, error) {
	made, err := r.Account.ResetPassword(ctx, userID)
	if err != nil {
		return nil, err
	}
	return &generated.ResetPasswordPayload{User: made.User, OneTimePassword: made.Password}, nil
}

// DeleteUser resolves Mutation.deleteUser.
func (r mutation) DeleteUser(ctx context.Context, id string) (*generated.UserPayload, error) {
	return userPayload(r.Account.Delete(ctx, id))
}

// DeleteUsers resolves Mutation.deleteUsers.
func (r mutation) DeleteUsers(ctx context.Context, ids []string) ([]*generated.UserResult, error) {
	return each(ids, func(id string) (*ent.User, error) { return r.Account.Delete(ctx, id) })
}

// RestoreUser resolves Mutation.restoreUser.
func (r mutation) RestoreUser(ctx context.Context, id string) (*generated.UserPayload, error) {
	return userPayload(r.Account.RestoreOther(ctx, id))
}

// ImportUsers resolves Mutation.importUsers.
func (r mutation) ImportUsers(ctx context.Context, in generated.ImportUsersInput, dryRun bool) (*generated.ImportUsersPayload, error) {
	content, err := roster(in)
	if err != nil {
		return nil, err
	}
	rows, wrong, err := r.Account.Import(ctx, content, dryRun)
	if err != nil {
		return nil, err
	}
	payload := &generated.ImportUsersPayload{DryRun: dryRun || len(wrong) > 0, Accounts: []*generated.ImportedAccount{}, Errors: []*generated.ImportError{}}
	for _, row := range rows {
		a := &generated.ImportedAccount{Line: row.Line, Username: row.Username, Email: row.Email}
		if row.Made != nil {
			a.User, a.OneTimePassword = row.Made.User, &row.Made.Password
		}
		payload.Accounts = append(payload.Accounts, a)
	}
	for _, w := range wrong {
		e := &generated.ImportError{Line: w.Line, Message: w.Message}
		if w.Column != "" {
			e.Column = &w.Column
		}
		payload.Errors = append(payload.Errors, e)
	}
	return payload, nil
}

func roster(in generated.ImportUsersInput) ([]byte, error) {
	given := in.File != nil && in.File.Whole() == nil
	var check fault.Check
	check.That(given != (in.CSV != nil), "csv", "required", "Send the text as csv, or the file as a multipart request, and not both.")
	if err := check.Err(); err != nil {
		return nil, err
	}
	if in.CSV != nil {
		return []byte(*in.CSV), nil
	}
	content, err := io.ReadAll(io.LimitReader(in.File.File, account.MaxRoster+1))
	if err != nil {
		return nil, errors.Join(fault.New(fault.BadUserInput, "The file did not come whole."), err)
	}
	return content, nil
}

// EndOfTerm resolves Mutation.endOfTerm.
func (r mutation) EndOfTerm(ctx context.Context, ids []string, archive, dryRun bool) (*generated.EndOfTermPayload, error) {
	ends, err := r.Account.EndTerm(ctx, account.Term{IDs: ids, Archive: archive, DryRun: dryRun})
	if err != nil {
		return nil, err
	}
	payload := &generated.EndOfTermPayload{DryRun: dryRun, People: []*generated.EndOfTermPerson{}}
	for _, e := range ends {
		payload.Bytes += e.Bytes
		payload.ArchiveBytes += e.Archived
		person := &generated.EndOfTermPerson{
			User: e.User, Containers: e.Containers, Images: e.Images, Volumes: e.Volumes, VolumeBytes: e.VolumeBytes, Bytes: e.Bytes,
			ArchiveBytes: e.Archived,
		}
		if e.Folder != "" {
			folder := "archive/" + e.Folder
			person.ArchiveFolder = &folder
		}
		if e.Problem != nil {
			message := fault.Of(e.Problem).Message
			person.Problem = &message
		}
		payload.People = append(payload.People, person)
	}
	return payload, nil
}

// CreateInvitation resolves Mutation.createInvitation.
func (r mutation) CreateInvitation(ctx context.Context, in generated.CreateInvitationInput) (*generated.InvitationPayload, error) {
	row, code, err := r.Account.Invite(ctx, account.NewInvitation{Note: in.Note, MaxUses: in.MaxUses, Expires: in.ExpiresAt, Quota: in.Quota})
	if err != nil {
		return nil, err
	}
	return &generated.InvitationPayload{Invitation: row, Code: code, URL: SiteOf(ctx) + "/register#code=" + code}, nil
}

// RevokeInvitation resolves Mutation.revokeInvitation.
func (r mutation) RevokeInvitation(ctx context.Context, id string) (bool, error) {
	err := r.Account.RevokeInvitation(ctx, id)
	return err == nil, err
}

// Invitations resolves Query.invitations.
func (r query) Invitations(ctx context.Context, after *string, first *int, before *string, last *int) (*generated.InvitationConnection, error) {
	slice, err := r.Account.Invitations(ctx, store.Page{First: first, Last: last, After: after, Before: before})
	if err != nil {
		return nil, err
	}
	c := &generated.InvitationConnection{PageInfo: pageInfo(slice), Edges: edges(slice, func(cursor string, node *ent.Invitation) *generated.InvitationEdge {
		return &generated.InvitationEdge{Cursor: cursor, Node: node}
	})}
	if asked(ctx, "totalCount") {
		c.TotalCount, err = r.Account.CountInvitations(ctx)
	}
	return c, err
}

// CreatedBy resolves Invitation.createdBy.
func (r invitation) CreatedBy(ctx context.Context, i *ent.Invitation) (*ent.User, error) {
	if i.CreatedByID == nil {
		return nil, nil
	}
	return r.Account.Find(ctx, *i.CreatedByID)
}

func requestPayload(row *ent.QuotaRequest, err error) (*generated.QuotaRequestPayload, error) {
	if err != nil {
		return nil, err
	}
	return &generated.QuotaRequestPayload{QuotaRequest: row}, nil
}

// RequestQuota resolves Mutation.requestQuota.
func (r mutation) RequestQuota(ctx context.Context, in generated.RequestQuotaInput) (*generated.QuotaRequestPayload, error) {
	return requestPayload(r.Account.RequestQuota(ctx, value(in.Limits), in.Reason))
}

// GrantQuota resolves Mutation.grantQuota.
func (r mutation) GrantQuota(ctx context.Context, id string, in *record.Limits, answer *string) (*generated.QuotaRequestPayload, error) {
	return requestPayload(r.Account.GrantQuota(ctx, id, in, answer))
}

// DeclineQuota resolves Mutation.declineQuota.
func (r mutation) DeclineQuota(ctx context.Context, id string, answer *string) (*generated.QuotaRequestPayload, error) {
	return requestPayload(r.Account.DeclineQuota(ctx, id, answer))
}

// SetQuotas resolves Mutation.setQuotas.
func (r mutation) SetQuotas(ctx context.Context, userIDs []string, in record.Limits) ([]*generated.UserResult, error) {
	return each(userIDs, func(id string) (*ent.User, error) {
		if _, err := r.Resolver.Quota.Set(ctx, id, in); err != nil {
			return nil, err
		}
		return r.Account.Get(ctx, id)
	})
}

// QuotaRequests resolves Query.quotaRequests.
func (r query) QuotaRequests(ctx context.Context, after *string, first *int, before *string, last *int, status *quotarequest.Status) (*generated.QuotaRequestConnection, error) {
	slice, err := r.Account.Requests(ctx, status, store.Page{First: first, Last: last, After: after, Before: before})
	if err != nil {
		return nil, err
	}
	c := &generated.QuotaRequestConnection{PageInfo: pageInfo(slice), Edges: edges(slice, func(cursor string, node *ent.QuotaRequest) *generated.QuotaRequestEdge {
		return &generated.QuotaRequestEdge{Cursor: cursor, Node: node}
	})}
	if asked(ctx, "totalCount") {
		c.TotalCount, err = r.Account.CountRequests(ctx, status)
	}
	return c, err
}

// User resolves QuotaRequest.user.
func (r quotaRequest) User(ctx context.Context, q *ent.QuotaRequest) (*ent.User, error) {
	return r.Account.Find(ctx, q.UserID)
}

// AvatarURL resolves User.avatarUrl.
func (r user) AvatarURL(ctx context.Context, u *ent.User) (*string, error) {
	if u.Avatar == nil {
		return nil, nil
	}
	address := SiteOf(ctx) + "/avatars/" + *u.Avatar
	return &address, nil
}

// AccessTokens resolves User.accessTokens.
func (r user) AccessTokens(ctx context.Context, u *ent.User) ([]*ent.AccessToken, error) {
	return r.Account.Tokens(ctx, u.ID)
}
