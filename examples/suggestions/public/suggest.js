const form = document.querySelector("form");
const status = form.querySelector("[role=status]");

const told = { 201: "Thank you.", 429: "That is enough for now. Please come back in an hour." };

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("/api/suggestions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ text: form.text.value }),
  });
  status.textContent = told[answer.status] ?? "That did not work.";
  if (answer.ok) form.reset();
});
