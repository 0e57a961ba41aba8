import { createSignal, createUniqueId, For, onCleanup, onMount, Show } from "solid-js";
import { axis, type Measure, percent, value, verdict, whiskers } from "./answer";

const row = 44;
const top = 8;
const foot = 28;

/** Box plots of one measure, a row for each subject, and the same as a table. */
export function BoxPlot(props: { measure: Measure; confidence: number }) {
  const m = () => props.measure;
  const id = createUniqueId();
  let box!: HTMLDivElement;
  const [width, setWidth] = createSignal(640);
  onMount(() => {
    const watch = new ResizeObserver(([e]) => e && setWidth(Math.max(260, e.contentRect.width)));
    watch.observe(box);
    onCleanup(() => watch.disconnect());
  });
  const labels = () =>
    width() < 520 ? 0 : Math.min(220, 24 + 7.2 * Math.max(...m().samples.map((s) => s.subject.length)));
  const scale = () => {
    const all = m().samples.flatMap((s) => s.values);
    return axis(Math.min(...all), Math.max(...all), width() < 520 ? 3 : 6);
  };
  const x = (v: number) => {
    const a = scale();
    return labels() + 12 + ((v - a.from) / (a.to - a.from)) * (width() - labels() - 36);
  };
  const height = () => top + row * m().samples.length + foot;
  const tone = (i: number) => (i === 0 ? "grey" : verdict(m().differences[i - 1]!, m()).tone);
  return (
    <figure class="boxplot">
      <div ref={box}>
        <svg width={width()} height={height()} role="img" aria-labelledby={`${id}-t`}>
          <title id={`${id}-t`}>{`Box plots of ${m().name}; the table below has the same numbers`}</title>
          <For each={scale().ticks}>
            {(t) => (
              <>
                <line class="tick" x1={x(t)} x2={x(t)} y1={top} y2={height() - foot + 4} />
                <text class="num" x={x(t)} y={height() - 8} text-anchor="middle">
                  {value(t, m().unit)}
                </text>
              </>
            )}
          </For>
          <For each={m().samples}>
            {(s, i) => {
              const mid = () => top + row * i() + row / 2 + (labels() ? 0 : 6);
              const w = () => whiskers(s);
              return (
                <Show when={s.values.length > 0}>
                  <text
                    class="name"
                    x={labels() ? labels() : 2}
                    y={labels() ? mid() + 4 : mid() - 13}
                    text-anchor={labels() ? "end" : "start"}
                  >
                    {s.subject}
                  </text>
                  <g class={`box ${tone(i())}`}>
                    <line class="whisker" x1={x(w().low)} x2={x(w().high)} y1={mid()} y2={mid()} />
                    <line class="whisker" x1={x(w().low)} x2={x(w().low)} y1={mid() - 5} y2={mid() + 5} />
                    <line class="whisker" x1={x(w().high)} x2={x(w().high)} y1={mid() - 5} y2={mid() + 5} />
                    <rect
                      x={x(s.summary.q1)}
                      y={mid() - 9}
                      width={Math.max(2, x(s.summary.q3) - x(s.summary.q1))}
                      height="18"
                      rx="2"
                    />
                    <line class="interval" x1={x(s.summary.lo)} x2={x(s.summary.hi)} y1={mid() + 14} y2={mid() + 14} />
                    <line
                      class="median"
                      x1={x(s.summary.median)}
                      x2={x(s.summary.median)}
                      y1={mid() - 9}
                      y2={mid() + 9}
                    />
                    <For each={s.summary.outliers}>{(o) => <circle cx={x(o)} cy={mid()} r="2.5" />}</For>
                  </g>
                </Show>
              );
            }}
          </For>
        </svg>
      </div>
      <div class="scroll-x">
        <table class="table">
          <thead>
            <tr>
              <th>On</th>
              <th class="right">Runs</th>
              <th class="right">Median</th>
              <th class="right">{`Interval (${percent(props.confidence)})`}</th>
              <th class="right">Noise</th>
              <th class="right">Outliers</th>
              <th class="right">Change</th>
              <th class="right">p</th>
              <th>Verdict</th>
            </tr>
          </thead>
          <tbody>
            <For each={m().samples}>
              {(s, i) => {
                const d = () => m().differences[i() - 1];
                return (
                  <tr>
                    <td class="nowrap">{s.subject}</td>
                    <td class="right">{s.summary.n}</td>
                    <td class="right nowrap">{value(s.summary.median, m().unit)}</td>
                    <td class="right nowrap">
                      <Show when={s.summary.n > 1} fallback="–">
                        {`${value(s.summary.lo, m().unit)} … ${value(s.summary.hi, m().unit)}`}
                      </Show>
                    </td>
                    <td class="right nowrap">{percent(s.summary.noise)}</td>
                    <td class="right">{s.summary.outliers.length}</td>
                    <td class="right nowrap">
                      <Show when={d()}>
                        {(d) => (
                          <span title={`${percent(d().lo, true)} … ${percent(d().hi, true)}`}>
                            {percent(d().change, true)}
                          </span>
                        )}
                      </Show>
                    </td>
                    <td class="right">
                      <Show when={d()}>{(d) => (d().adjusted < 0.0001 ? "< 0.0001" : d().adjusted.toFixed(4))}</Show>
                    </td>
                    <td class="nowrap">
                      <Show when={d()} fallback={<span class="faint">compared with</span>}>
                        {(d) => <span class={`badge ${verdict(d(), m()).tone}`}>{verdict(d(), m()).text}</span>}
                      </Show>
                    </td>
                  </tr>
                );
              }}
            </For>
          </tbody>
        </table>
      </div>
    </figure>
  );
}
