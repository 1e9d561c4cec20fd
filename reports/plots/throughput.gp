# Lines over the number of GPUs, named at their ends; least to most of the repeats as thick bars.
# The reference comes last: its dashes show what lies beneath.
most = gpus[|gpus|]
set xrange [0:most * 1.03]
set yrange [0:top * 1.1]
ending(i) = narrow ? fit(name[i], 16) : sprintf('%s  %s', fit(name[i], 30), count(last[i]))
longest = 0
do for [i = 1:n] { longest = strlen(ending(i)) > longest ? strlen(ending(i)) : longest }
set rmargin longest + 3
set xtics ()
do for [i = 1:|gpus|] { set xtics add (sprintf('%d', gpus[i]) gpus[i]) }
set ytics ()
do for [i = 0:int(top * 1.1 / step(top))] { set ytics add (count(i * step(top)) i * step(top)) }
do for [i = 1:n] {
	set style line i linecolor rgb color[i] linewidth 2.5 dashtype dashes[i] pointtype 7 pointsize 0.7
	set style line 100 + i linecolor rgb color[i] linewidth 6
	set label i ending(i) at last_gpus[i], label_y[i] left offset 1.2, 0 textcolor rgb color[i]
}
rank(k) = k > n ? k - n : k
is_drawn(k) = (k > n) == (dashes[rank(k)] > 1)
plot for [k = 1:2 * n] csv skip 1 using 3:(is_drawn(k) ? of(rank(k), 4) : NaN) with lines linestyle rank(k) notitle, \
	for [i = 1:n] csv skip 1 using 3:(of(i, 5)):(0):($6 - $5) with vectors nohead \
		linestyle 100 + i notitle, \
	for [i = 1:n] csv skip 1 using 3:(of(i, 4)) with points linestyle i notitle
