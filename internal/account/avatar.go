package account

// MaxAvatar is the largest picture that is taken, in bytes.
const MaxAvatar = 5 << 20
