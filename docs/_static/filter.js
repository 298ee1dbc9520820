// A filter box above the overview of settings: every word must be in the row. Without it, the table is complete.
document.querySelectorAll("table.settings-overview").forEach((table) => {
  const rows = [...table.tBodies[0].rows];
  const box = document.createElement("input");
  box.type = "search";
  box.className = "settings-filter";
  box.placeholder = `Filter ${rows.length} settings by word or engine`;
  box.setAttribute("aria-label", box.placeholder);
  const count = document.createElement("output");
  count.className = "settings-count";
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    });
    count.textContent = words.length ? `${shown} of ${rows.length}` : "";
  });
  const place = table.closest(".table-wrapper") || table;
  place.before(box, count);
});
