# Bars in groups, one group a number of GPUs, against the line of 100%. Values stand inside their
# bars, or above those too low for it.
place(g) = sum [k = 1:|gpus|] (gpus[k] == g ? k : 0)
width = n > 2 ? 0.8 / n : 0.36
bar(i) = place(of(i, 3)) + (i - (n + 1) / 2.0) * width
high = (top > 100 ? top : 100) * 1.06
set xrange [0.4:|gpus| + 0.6]
set yrange [0:high]
set rmargin 2
set xtics ()
do for [i = 1:|gpus|] { set xtics add (sprintf('%d', gpus[i]) i) }
set ytics 0, step(high)
set arrow 1 from graph 0, first 100 to graph 1, first 100 nohead dashtype 2 \
	linecolor rgb s0 linewidth 1.5 back
set key top right horizontal outside textcolor variable samplen 1 height 0 width 2
form = n * |gpus| > (narrow ? 4 : 16) ? '%.0f' : '%.1f'
fits(y) = y > high * 0.1
plot for [i = 1:n] csv skip 1 using (bar(i)):4:(width * 0.92) \
		with boxes linecolor rgb color[i] title fit(name[i], narrow ? 16 : 30), \
	for [i = 1:n] csv skip 1 using (fits(column(4)) ? bar(i) : NaN):4:(sprintf(form, column(4))) \
		with labels offset 0, -0.8 textcolor rgb paper notitle, \
	for [i = 1:n] csv skip 1 using (fits(column(4)) ? NaN : bar(i)):4:(sprintf(form, column(4))) \
		with labels offset 0, 0.6 textcolor rgb ink notitle
