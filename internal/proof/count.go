package main

// counts are what the clients saw in a shape, added up without the model, so that
// one of the two finds what is wrong with the other.
type counts struct {
	// posts and gets are the calls.
	posts, gets int
	// served are the tickets that somebody was served. repeats are the answers with
	// bytes beyond the first to the same holder of the claim key: the same open.
	served, repeats int
	refused         int
	unavailable     int // 503 outside of an outage: not spent
	notOpened       int
	unknown         [causes]int
	// doubles are the tickets whose bytes went to more than one holder. It must be 0.
	doubles int
	// lost are the tickets that nobody was served and that are spent all the same, by
	// whose call it may have been: of several causes the first of the list.
	lost [causes]int
	// unasked are the tickets that nobody was served or refused: whoever asked for
	// them got no answer each time, the last opener included.
	unasked int
	// wasted are the tickets that nobody was served, and for which no call is to blame.
	// It must be 0 (P3).
	wasted int
}

func (h *history) count() counts {
	var c counts
	for i := range h.tickets {
		c.add(h.tickets[i].ops)
	}
	return c
}

func (c *counts) add(ops []operation) {
	var keyed map[uint16]bool // by whom it was served with a claim key
	strict, spent := 0, false
	var to [causes]bool
	for _, op := range ops {
		if op.verb == opening {
			c.posts++
		} else {
			c.gets++
		}
		switch op.answer {
		case served:
			switch {
			case op.strict:
				strict++
			case keyed[op.opener]:
				c.repeats++
			default:
				if keyed == nil {
					keyed = make(map[uint16]bool, 1)
				}
				keyed[op.opener] = true
			}
		case refused:
			c.refused++
			spent = true
		case unspent:
			c.unavailable++
		case notOpened:
			c.notOpened++
		case unknown:
			c.unknown[op.cause]++
			if op.verb == opening {
				to[op.cause] = true
			}
		}
	}
	holders := len(keyed) + strict
	if holders > 1 {
		c.doubles++
	}
	switch {
	case holders > 0:
		c.served++
	case !spent:
		c.unasked++
	default:
		c.blame(to)
	}
}

// blame finds who can have spent a ticket that nobody was served.
func (c *counts) blame(may [causes]bool) {
	for cause, is := range may {
		if is {
			c.lost[cause]++
			return
		}
	}
	c.wasted++
}
