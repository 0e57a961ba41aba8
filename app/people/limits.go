package people

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/nixspace/nixspace"
)

// How often something secret may be tried: by one address, and for one account.
// Each has as many tries at once, and gets one back in the time that is named.
const (
	triesOfAddress = 20
	addressEvery   = 6 * time.Second
	triesOfAccount = 10
	accountEvery   = 30 * time.Second
	limitersMax    = 50_000
)

// limits bounds tries by who makes them. It forgets those who have all their tries
// again.
type limits struct {
	mu  sync.Mutex
	all map[string]*rate.Limiter
}

func newLimits() *limits { return &limits{all: map[string]*rate.Limiter{}} }

// try takes one try of an address and, unless it is empty, of an account.
func (l *limits) try(now time.Time, address, account string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) >= limitersMax {
		for k, r := range l.all {
			if r.TokensAt(now) >= float64(r.Burst()) {
				delete(l.all, k)
			}
		}
		if len(l.all) >= limitersMax {
			return tooMany(addressEvery)
		}
	}
	if !l.one("address "+address, triesOfAddress, addressEvery).AllowN(now, 1) {
		return tooMany(addressEvery)
	}
	if account != "" && !l.one("account "+account, triesOfAccount, accountEvery).AllowN(now, 1) {
		return tooMany(accountEvery)
	}
	return nil
}

func (l *limits) one(key string, burst int, every time.Duration) *rate.Limiter {
	r := l.all[key]
	if r == nil {
		r = rate.NewLimiter(rate.Every(every), burst)
		l.all[key] = r
	}
	return r
}

func tooMany(wait time.Duration) error {
	return nixspace.Errorf(nixspace.KindLimit, "too_many_tries", "there were too many tries").
		WithHint("try again in %s", wait).WithDetail("retryAfterSeconds", int(wait.Seconds()))
}
