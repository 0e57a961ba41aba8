package manifest

import "time"

// Idle returns how long nobody must have worked in a session before it is
// hibernated, where the server's own setting is otherwise: never when 0.
func (s Session) Idle(otherwise time.Duration) time.Duration {
	switch s.HibernateAfter {
	case 0:
		return otherwise
	case Never:
		return 0
	}
	return time.Duration(s.HibernateAfter)
}

func (d *decoder) session(path []string, v any) Session {
	var s Session
	for k, v := range d.table(path, v, maxEntries) {
		p := below(path, k)
		if k != "hibernate-after" {
			d.unknown(p, " in [session]", []string{"hibernate-after"})
			continue
		}
		if v == "never" {
			s.HibernateAfter = Never
			continue
		}
		const hint = `write how long nobody must have worked in it, as "30m" or "2h", or "never"`
		text, ok := v.(string)
		if !ok {
			d.at(p, false, hint, "hibernate-after must be text, not %s", typeName(v))
			continue
		}
		after, err := ParseDuration(text)
		switch {
		case err != nil:
			d.at(p, false, hint, "%v", err)
		case after < MinHibernateAfter || after > MaxHibernateAfter:
			d.at(p, false, hint, "%s is not between %s and %s", after, MinHibernateAfter, MaxHibernateAfter)
		default:
			s.HibernateAfter = after
		}
	}
	return s
}

// text returns how a manifest says it.
func (s Session) text() string {
	if s.HibernateAfter == Never {
		return "never"
	}
	return s.HibernateAfter.String()
}
